/* Pickles that break one rule each: refused with the words that say which, nothing executed. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/pickle.h"
#include "model_files.h"
#include "test_main.h"

/* Opcodes put together: PROTO, a storage of `numel` elements, a tensor on it, a dictionary. */
#define P "\x80\x02"
#define FLOATS "ctorch\nFloatStorage\n"
#define STORAGE(numel)                                                                             \
    "(X\7\0\0\0storage" FLOATS "X\1\0\0\0"                                                         \
    "0X\3\0\0\0cpuK" numel "tQ"
#define TENSOR(offset, sizes, strides)                                                             \
    "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("\4") offset sizes strides "\x89)tR"
#define INTEGERS(sizes, strides)                                                                   \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nLongStorage\nX\1\0\0\0"          \
    "0X\3\0\0\0cpuK\2tQK\0" sizes strides "\x89)tR"
#define GOOD TENSOR("K\0", "K\4\x85", "K\1\x85")
#define W "X\1\0\0\0w"
#define DICT(value) P "}" W value "s."

typedef struct Case {
    const char *data;
    size_t bytes;
    const char *words;
} Case;

#define CASE(text, words)                                                                          \
    {                                                                                              \
        text, sizeof(text) - 1, words                                                              \
    }

static const Case machine_cases[] = {
    CASE("", "without STOP"),
    CASE(P "}", "pickle: 3 bytes without STOP"),
    CASE("}.", "opcode 0x7d at offset 0: a pickle begins with"),
    CASE("\x80\x03}.", "only protocol 2"),
    CASE("\x80\x04\x95", "only protocol 2"),
    CASE(P P "}.", "offset 2: only protocol 2"),
    CASE("\x80", "only protocol 2"),
    /* calls that would run code */
    CASE(P "cos\nsystem\n(X\2\0\0\0idtR.", "offset 2: the global 'os system' is not allowed"),
    CASE(P "cbuiltins\neval\n.", "'builtins eval'"),
    CASE(P "c__builtin__\nexec\n.", "'__builtin__ exec'"),
    CASE(P "ctorch._utils\n_rebuild_tensor\n.", "'torch._utils _rebuild_tensor'"),
    CASE(P "ctorch\nFloatStorage2\n.", "is not allowed"),
    CASE(P "ctorch\nQInt8Storage\n.", "'torch QInt8Storage'"),
    CASE(P "c\x1b[2J\nevil\n.", "'?[2J evil'"),
    CASE(P "c\n\n.", "is not allowed"),
    CASE(P "ctorch", "the name of a global does not end"),
    CASE(P "(ios\nsystem\n.", "opcode 0x69 at offset 3: is not allowed"),
    CASE(P "(o.", "opcode 0x6f at offset 3: is not allowed"),
    CASE(P "})\x81.", "opcode 0x81 at offset 4: is not allowed"),
    CASE(P "})}\x92.", "opcode 0x92 at offset 5: is not allowed"),
    CASE(P "\x8c\2os\x93.", "opcode 0x8c at offset 2: is not allowed"),
    CASE(P "NN\x93.", "opcode 0x93 at offset 4: is not allowed"),
    CASE(P "\x82\1.", "opcode 0x82 at offset 2: is not allowed"),
    CASE(P "P1\n.", "opcode 0x50 at offset 2: is not allowed"),
    CASE(P "N0}.", "opcode 0x30 at offset 3: is not allowed"),
    CASE(P "\x95.", "opcode 0x95 at offset 2: is not allowed"),
    /* calls */
    CASE(P "})R.", "a call of something that is not a known global"),
    CASE(P ")R.", "a call of something that is not a known global"),
    CASE(P "ccollections\nOrderedDict\nNR.", "a call of something that is not a known global"),
    CASE(P "ccollections\nOrderedDict\nN\x85R.", "arguments that do not fit"),
    CASE(P FLOATS "K\1\x85R.", "arguments that do not fit"),
    CASE(P "ctorch._utils\n_rebuild_parameter\nNNN\x87R.", "arguments that do not fit"),
    /* attributes */
    CASE(P "]}b.", "not an OrderedDict"),
    CASE(P "}}b.", "not an OrderedDict"),
    CASE(P "ccollections\nOrderedDict\n)Rb.", "not an OrderedDict"),
    CASE(P GOOD "}b.", "not an OrderedDict"),
    /* stack, marks, memo */
    CASE(P "s.", "the stack is too short"),
    CASE(P "}" W "s.", "sets an item of something that is not a dictionary"),
    CASE(P "}(" W "s.", "the stack is too short"),
    CASE(P "a.", "the stack is too short"),
    CASE(P "u.", "the stack has no mark"),
    CASE(P "e.", "the stack has no mark"),
    CASE(P "t.", "the stack has no mark"),
    CASE(P "N\x86.", "the stack is too short"),
    CASE(P "NN(N\x86.", "the stack is too short"),
    CASE(P "(u.", "sets an item of something that is not a dictionary"),
    CASE(P "](NNu.", "sets an item of something that is not a dictionary"),
    CASE(P "N" W "Ns.", "sets an item of something that is not a dictionary"),
    CASE(P GOOD "K\1Ns.", "sets an item of something that is not a dictionary"),
    CASE(P "]K\1Ns.", "sets an item of something that is not a dictionary"),
    CASE(P "}(Nu.", "a key without a value"),
    CASE(P ")Na.", "appends to something that is not a list"),
    CASE(P ")(Ne.", "appends to something that is not a list"),
    CASE(P "}(Ne.", "appends to something that is not a list"),
    CASE(P "h\0.", "the memo has nothing there"),
    CASE(P "j\xff\xff\xff\xff.", "the memo has nothing there"),
    CASE(P "q\0.", "the memo's index"),
    CASE(P "}r\xa0\x86\1\0.", "the memo's index"),
    CASE(P "}q", "the memo's index"),
    /* numbers and texts that end too late */
    CASE(P "\x8a\x09"
           "123456789.",
         "more than 8 bytes"),
    CASE(P "\x8a\x08"
           "1234567",
         "ends after the pickle"),
    CASE(P "J\0\0\0", "ends after the pickle"),
    CASE(P "M\0", "ends after the pickle"),
    CASE(P "K", "ends after the pickle"),
    CASE(P "G\0\0\0\0", "ends after the pickle"),
    CASE(P "X\xff\xff\xff\x7f"
           "abc.",
         "a text ends after the pickle"),
    CASE(P "X\xff\xff\xff\xff"
           "abc.",
         "a text ends after the pickle"),
    CASE(P "X\4\0\0\0abc", "a text ends after the pickle"),
    /* the end */
    CASE(P ".", "the result is not a dictionary"),
    CASE(P "}}.", "the result is not a dictionary"),
    CASE(P "(}.", "the result is not a dictionary"),
    CASE(P "].", "the result is not a dictionary"),
    CASE(P GOOD ".", "the result is not a dictionary"),
    CASE(P "}.}", "something follows the end"),
};

static const Case tensor_cases[] = {
    CASE(P "NQ.", "a persistent id is not a storage"),
    CASE(P "Q.", "a persistent id is not a storage"),
    CASE(P "(X\6\0\0\0module" FLOATS W W "K\4tQ.", "a persistent id is not a storage"),
    CASE(P "(X\7\0\0\0storage" FLOATS W "K\4tQ.", "a persistent id is not a storage"),
    CASE(P "(X\7\0\0\0storage" FLOATS W W "K\4NNtQ.", "a persistent id is not a storage"),
    CASE(P "(X\7\0\0\0storage" FLOATS W W "K\4" W "K\0K\4\x87tQ.", "is a view of another"),
    CASE(P "(X\7\0\0\0storageccollections\nOrderedDict\n" W W "K\4tQ.",
         "a storage is not of float"),
    CASE(P "(X\7\0\0\0storageN" W W "K\4tQ.", "a storage is not of float"),
    CASE(P "(X\7\0\0\0storage" FLOATS "K\0" W "K\4tQ.", "a storage is not of float"),
    CASE(P "(X\7\0\0\0storage" FLOATS W W "NtQ.", "a storage is not of float"),
    CASE(P "(X\7\0\0\0storage" FLOATS W W "J\xff\xff\xff\xfftQ.", "a storage is not of float"),
    CASE(P "ctorch._utils\n_rebuild_tensor_v2\n)R.", "not built from a storage"),
    CASE(P "ctorch._utils\n_rebuild_tensor_v2\n(NK\0K\4\x85K\1\x85\x89)tR.",
         "not built from a storage"),
    CASE(P "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("\4") "NK\4\x85K\1\x85\x89)tR.",
         "not built from a storage"),
    CASE(P "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE("\4") "K\0K\4\x85K\1\x85\x89)NNtR.",
         "not built from a storage"),
    CASE(DICT(TENSOR("K\0", "K\4", "K\1")), "not of 0 to 4 sizes"),
    CASE(DICT(TENSOR("K\0", "]K\4a", "K\1\x85")), "not of 0 to 4 sizes"),
    CASE(DICT(TENSOR("K\0", "K\4\x85", "K\1K\1\x86")), "not of 0 to 4 sizes"),
    CASE(DICT(TENSOR("K\0", "(K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1t")), "not of 0 to 4 sizes"),
    CASE(DICT(TENSOR("K\0", "N\x85", "K\1\x85")), "not positive numbers"),
    CASE(DICT(TENSOR("K\0", "K\4\x85", "N\x85")), "not positive numbers"),
    CASE(DICT(TENSOR("K\0", "K\0\x85", "K\1\x85")), "not positive numbers"),
    CASE(DICT(TENSOR("K\0", "J\xfc\xff\xff\xff\x85", "K\1\x85")), "not positive numbers"),
    CASE(DICT(TENSOR("K\0", "K\4\x85", "K\0\x85")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2\x85", "K\2\x85")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2\x85", "J\xff\xff\xff\xff\x85")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2K\2\x86", "K\1K\1\x86")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2K\2\x86", "K\1K\3\x86")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2K\2\x86", "K\2K\2\x86")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\0", "K\2K\1K\2\x87", "K\2K\1K\4\x87")), "overlap or leave gaps"),
    CASE(DICT(TENSOR("K\1", "K\2K\2\x86", "K\1K\2\x86")), "beyond its storage"),
    CASE(DICT(TENSOR("K\0", "\x8a\x08\0\0\0\0\0\0\0\x40K\2\x86", "K\2K\1\x86")), "overflows"),
    CASE(DICT(TENSOR("K\1", "K\4\x85", "K\1\x85")), "beyond its storage"),
    CASE(DICT(TENSOR("K\0", "K\5\x85", "K\1\x85")), "beyond its storage"),
    CASE(DICT(TENSOR("J\xff\xff\xff\xff", "K\4\x85", "K\1\x85")), "beyond its storage"),
    CASE(DICT(TENSOR("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\4\x85", "K\1\x85")),
         "beyond its storage"),
    /* the dictionary */
    CASE(P "}K\1" GOOD "s.", "is not text of 1 to 255 bytes"),
    CASE(P "}X\0\0\0\0" GOOD "s.", "is not text of 1 to 255 bytes"),
    CASE(P "}X\3\0\0\0a\0b" GOOD "s.", "is not text of 1 to 255 bytes"),
    CASE(DICT("K\1"), "has no tensors"),
    CASE(DICT("}"), "has no tensors"),
    CASE(DICT(STORAGE("\4")), "has no tensors"),
    CASE(P "}X\6\0\0\0paramsK\1s.", "has no tensors"),
    CASE(P "}X\x0a\0\0\0params_emaNs.", "has no tensors"),
    CASE(P "}q\0" W "h\0s.", "has no tensors"), /* it contains itself */
    CASE(P "}q\0X\6\0\0\0paramsh\0s.", "has no tensors"),
    CASE(P "}" W "}" W "}" W "}" W "}" W "}" W GOOD "ssssss.", "has no tensors"),
    CASE(DICT(INTEGERS("K\3\x85", "K\1\x85")), "beyond its storage"),
};

/* Any key leads to a record of 16 bytes, save "none". */
static int read_record(void *user, const char *key, const uint8_t **data, size_t *bytes)
{
    static const float values[4] = {1, 2, 3, 4};
    (void)user;
    if (strcmp(key, "none") == 0)
        return resr_fail(RESR_ERR_DATA, "no such record");
    *data = (const uint8_t *)values;
    *bytes = sizeof values;
    return 0;
}

/* In memory of exactly its size, so that the sanitizer sees a step beyond. */
static int read_pickle(const void *data, size_t bytes, size_t *n)
{
    ResrTensor *tensors;
    uint8_t *copy = malloc(bytes ? bytes : 1);
    assert_non_null(copy);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    int ret = resr_pickle_read(&tensors, n, copy, bytes, read_record, NULL);
    free(tensors);
    free(copy);
    return ret;
}

static void refuse(const void *data, size_t bytes, const char *words)
{
    size_t n;
    test_refused(read_pickle(data, bytes, &n), words);
}

static void test_one_rule_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof machine_cases / sizeof *machine_cases; i++)
        refuse(machine_cases[i].data, machine_cases[i].bytes, machine_cases[i].words);
    for (size_t i = 0; i < sizeof tensor_cases / sizeof *tensor_cases; i++)
        refuse(tensor_cases[i].data, tensor_cases[i].bytes, tensor_cases[i].words);
}

static void test_good_ones(void **state)
{
    (void)state;
    static const Case good[] = {
        CASE(DICT(GOOD), ""),
        CASE(DICT(TENSOR("K\2", "K\2\x85", "K\1\x85")), ""),
        CASE(DICT(TENSOR("K\0", "K\2K\2\x86", "K\1K\2\x86")), ""),
        CASE(DICT(TENSOR("K\0", "K\2K\1K\2\x87", "K\1K\7K\2\x87")), ""),
        CASE(P "}(" W GOOD "X\1\0\0\0nNX\1\0\0\0iK\1K\1]u.", ""), /* None, numbers, a list */
        CASE(P "}" W "}" W "}" W GOOD "sss.", ""),
        CASE(DICT(INTEGERS("K\2\x85", "K\1\x85")), ""),
        CASE(DICT(INTEGERS(")", ")")), ""),
        CASE(DICT(TENSOR("K\0", "K\1K\4\x86", "K\x63K\1\x86")), ""), /* the stride of 1 is free */
        CASE(DICT(TENSOR("K\0", "))", "")), ""),
        CASE(P "}X\6\0\0\0params}" W GOOD "ss.", ""),
        CASE(P "ccollections\nOrderedDict\n)R" W GOOD "s}X\1\0\0\0aNsb.", ""),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n;
        if (read_pickle(good[i].data, good[i].bytes, &n) < 0)
            fail_msg("case %zu: %s", i, resr_error_text());
        assert_int_equal(n, 1);
    }
}

/* A pickle of `before`, `count` times `repeated`, `behind`. */
static void refuse_many(const char *repeated, size_t bytes, int count, const char *words)
{
    TestBuffer pickle = {0};
    test_add_text(&pickle, P);
    for (int i = 0; i < count; i++)
        test_add(&pickle, repeated, bytes);
    test_add_text(&pickle, ".");
    refuse(pickle.data, pickle.bytes, words);
    free(pickle.data);
}

static void test_limits(void **state)
{
    (void)state;
    refuse_many("N", 1, 4097, "the stack is full");
    refuse_many("(", 1, 4097, "too many marks");
    refuse_many("]N\x86", 3, 150000, "the stack is full");
    refuse_many("((tt", 4, 4097, "the stack is full");
    refuse_many("\x85", 1, 1, "the stack is too short");
    refuse_many("N", 1, (4 << 20) + 1, "4194308 bytes; at most 4194304");

    TestBuffer pickle = {0};
    test_add_text(&pickle, P "]"); /* values without end, dropped into a list */
    for (int i = 0; i < 200001; i++)
        test_add_text(&pickle, "Na");
    refuse(pickle.data, pickle.bytes, "too many values");
    pickle.bytes = 0;
    test_add_text(&pickle, P "]q"); /* a list that holds itself a million times */
    test_add_number(&pickle, 0, 1);
    for (int i = 0; i < (1 << 20) + 1; i++)
        test_add(&pickle, "h\0a", 3);
    refuse(pickle.data, pickle.bytes, "too many items");
    pickle.bytes = 0;
    test_add(&pickle, P "}(" W "q\0" GOOD "q\1", sizeof(P "}(" W "q\0" GOOD "q\1") - 1);
    for (int i = 0; i < 2000; i++)
        test_add(&pickle, "h\0h\1", 4);
    test_add_text(&pickle, "u");
    for (int k = 0; k < 2; k++) {
        test_add_text(&pickle, "(");
        for (int i = 0; i < 2000; i++)
            test_add(&pickle, "h\0h\1", 4);
        test_add_text(&pickle, "u");
    }
    test_add_text(&pickle, ".");
    refuse(pickle.data, pickle.bytes, "6001 entries; at most 5000");
    free(pickle.data);
}

static void test_records(void **state)
{
    (void)state;
    TestBuffer pickle = {0};
#define TENSOR_OF(key, numel)                                                                      \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storage" FLOATS key W numel                     \
    "tQK\0K\1\x85K\1\x85\x89)tRs."
    static const Case cases[] = {
        CASE(P "}" W TENSOR_OF("X\4\0\0\0none", "K\4"), "no such record"),
        CASE(P "}" W TENSOR_OF("X\1\0\0\0k", "K\5"), "5 elements, but record data/k has 16 bytes"),
        CASE(P "}" W TENSOR_OF("X\1\0\0\0k", "K\3"), "3 elements, but record data/k has 16 bytes"),
        CASE(P "}" W TENSOR_OF("X\1\0\0\0k", "\x8a\x08\4\0\0\0\0\0\0\x40"), "elements, but record"),
        CASE(P "}" W TENSOR_OF("X\3\0\0\0a\0b", "K\4"), "the key of its storage"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].data, cases[i].bytes, cases[i].words);
    test_add_text(&pickle, P "}");
    test_add(&pickle, "X\0\1\0\0", 5);
    for (int i = 0; i < 256; i++)
        test_add_text(&pickle, "n");
    test_add(&pickle, GOOD "s.", sizeof(GOOD "s.") - 1);
    refuse(pickle.data, pickle.bytes, "is not text of 1 to 255 bytes");
    free(pickle.data);
}

/* Every good pickle, cut off anywhere and with every byte changed: no crash, and whatever is cut is
 * refused. */
static void test_cut_and_changed(void **state)
{
    (void)state;
    static const char good[] = P "ccollections\nOrderedDict\n)R(" W GOOD "u}X\1\0\0\0aNsb.";
    char changed[sizeof good];
    size_t n;
    for (size_t i = 0; i < sizeof good - 1; i++)
        assert_int_equal(read_pickle(good, i, &n), RESR_ERR_DATA);
    for (size_t i = 0; i < sizeof good - 1; i++)
        for (int value = 0; value < 256; value++) {
            memcpy(changed, good, sizeof good);
            changed[i] = (char)value;
            int ret = read_pickle(changed, sizeof good - 1, &n);
            assert_true(ret == 0 || ret == RESR_ERR_DATA);
        }
}

TEST_MAIN(test_good_ones, test_one_rule_each, test_limits, test_records, test_cut_and_changed)

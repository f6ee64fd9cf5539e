/* Runs under mpirun: frames go to every other rank and come back, their hashes compared. With an
 * argument (bytes), one frame of at least that size instead of small ones: payloads over 2 GiB do
 * not fit an MPI count. */

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/backoff.h"
#include "comm/endpoint.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, resr_error_text()); \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

static ResrPlan plan;
static ResrFormat format = {.planes = 1, .depth_bits = 8, .pix_fmt = "gray"};

static ResrMessage *make_work(int64_t first, int count)
{
    ResrMessage *message;
    CHECK(resr_message_create(&message, RESR_WIRE_WORK) == 0);
    message->header.part = (ResrPart){first / 8, first, count, 1, 0};
    for (int i = 0; i < count; i++) {
        ResrFrame *frame;
        CHECK(resr_frame_create(&frame, &format) == 0);
        for (size_t k = 0; k < frame->bytes; k += 4096)
            frame->data[k] = (uint8_t)(first + i + (int64_t)(k >> 12));
        frame->data[frame->bytes - 1] = 0;
        frame->index = first + i;
        frame->pts = 1000 * frame->index;
        resr_frame_hash(frame->hash, &format, frame);
        message->frames[i] = frame;
    }
    return message;
}

/* Rank 0: `rounds` messages to each rank, all in flight together; every frame must come back. */
static void coordinate(int ranks, int rounds, int count)
{
    ResrEndpoint *mail;
    ResrMessage *message;
    ResrBackoff idle = {0};
    int rank, back = 0, byes = 0;
    CHECK(resr_endpoint_create(&mail, 1, ranks - 1, &plan) == 0);
    for (int round = 0; round < rounds; round++)
        for (int r = 1; r < ranks; r++)
            CHECK(resr_endpoint_send(mail, r, make_work((int64_t)(round * ranks + r) * 8, count)) ==
                  0);
    while (byes < ranks - 1 || resr_endpoint_sending(mail) > 0) {
        CHECK(resr_endpoint_poll(mail, &message, &rank) == 0);
        if (message && message->header.kind == RESR_WIRE_BYE) {
            byes++;
        } else if (message) {
            CHECK(message->header.kind == RESR_WIRE_RESULT && message->header.part.count == count);
            CHECK(message->header.part.first / 8 % ranks == rank);
            for (int i = 0; i < count; i++) {
                CHECK(resr_frame_verify(message->frames[i], &format) == 0);
                CHECK(message->frames[i]->index == message->header.part.first + i);
                CHECK(message->frames[i]->pts == 1000 * message->frames[i]->index);
            }
            if (++back == rounds * (ranks - 1))
                for (int r = 1; r < ranks; r++) {
                    ResrMessage *stop;
                    CHECK(resr_message_create(&stop, RESR_WIRE_STOP) == 0);
                    CHECK(resr_endpoint_send(mail, r, stop) == 0);
                }
        }
        resr_message_free(message);
        resr_backoff_wait(&idle, resr_endpoint_active(mail), true);
    }
    CHECK(back == rounds * (ranks - 1));
    resr_endpoint_free(mail);
    printf("%d messages of %d frames of %zu bytes came back whole\n", back, count,
           resr_format_frame_bytes(&format));
}

static void echo(void)
{
    ResrEndpoint *mail;
    ResrMessage *message;
    ResrBackoff idle = {0};
    bool stopping = false;
    int rank;
    CHECK(resr_endpoint_create(&mail, 0, 0, &plan) == 0);
    while (!stopping || resr_endpoint_sending(mail) > 0) {
        CHECK(resr_endpoint_poll(mail, &message, &rank) == 0);
        bool active = resr_endpoint_active(mail) || message;
        if (message) {
            stopping = message->header.kind == RESR_WIRE_STOP;
            message->header.kind = stopping ? RESR_WIRE_BYE : RESR_WIRE_RESULT;
            CHECK(resr_endpoint_send(mail, 0, message) == 0);
        }
        resr_backoff_wait(&idle, active, true);
    }
    resr_endpoint_free(mail);
}

/* Rank 1 sends a header whose hash is wrong: rank 0 must not accept it. */
static void refuse_damaged_header(int rank)
{
    enum { TAG_HEADER = 1 };
    ResrEndpoint *endpoint;
    ResrMessage *message;
    if (rank == 1) {
        CHECK(resr_message_create(&message, RESR_WIRE_ALIVE) == 0);
        resr_message_seal(message);
        message->header.progress ^= 1;
        MPI_Send(&message->header, sizeof message->header, MPI_BYTE, 0, TAG_HEADER, MPI_COMM_WORLD);
        resr_message_free(message);
    }
    if (rank > 0)
        return;
    ResrBackoff backoff = {0};
    int from, ret;
    CHECK(resr_endpoint_create(&endpoint, 1, 1, &plan) == 0);
    do {
        ret = resr_endpoint_poll(endpoint, &message, &from);
        resr_backoff_wait(&backoff, message || ret < 0, true);
    } while (ret == 0 && !message);
    CHECK(ret == RESR_ERR_DATA && !message);
    CHECK(strstr(resr_error_text(), "from rank 1: "));
    resr_endpoint_free(endpoint);
}

int main(int argc, char **argv)
{
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    size_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    format.width_px = bytes ? 1 << 16 : 1000;
    format.height_px = bytes ? (int32_t)(bytes >> 16) + 1 : 333;
    plan.input = plan.output = format;
    if (rank == 0)
        coordinate(ranks, bytes ? 1 : 20, bytes ? 1 : 3);
    else
        echo();
    refuse_damaged_header(rank);
    MPI_Finalize();
    return 0;
}

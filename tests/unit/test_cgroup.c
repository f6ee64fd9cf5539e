/* base/cgroup.h against folders that look like the /proc and /sys of machines, containers and
 * services. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "test_main.h"

#define V1_CPU "35 31 0:29 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_CPUSET "36 31 0:31 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n"
#define V1_MEMORY "37 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define V2                                                                                         \
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:7 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_GROUP "5:cpuset:/\n4:cpu,cpuacct:/a/b\n3:memory:/m\n1:name=systemd:/s\n"
#define CPU "/sys/fs/cgroup/cpu"

static const char *root;

/* Writes a file below the root, with its folders. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(full, 0700);
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int start(void **state)
{
    static char folder[64];
    (void)state;
    strcpy(folder, "/tmp/resr-cgroup.XXXXXX");
    root = mkdtemp(folder);
    return root ? 0 : -1;
}

static int end(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static void put_v1(const char *folder, const char *quota, const char *period)
{
    char path[256];
    snprintf(path, sizeof path, CPU "%s/cpu.cfs_quota_us", folder);
    put(path, quota);
    snprintf(path, sizeof path, CPU "%s/cpu.cfs_period_us", folder);
    put(path, period);
}

static void expect(double cpus)
{
    assert_float_equal(resr_cgroup_cpu_quota(root).cpus, cpus, 1e-9);
}

static void nothing_there(void **state)
{
    (void)state;
    expect(0);
    assert_true(resr_cgroup_memory_bytes(root) == INT64_MAX);
    put("/proc/self/cgroup", "0::/\n\nnonsense\n1:cpu\n::\n");
    put("/proc/self/mountinfo", V2 "\n - \n1 2 3 - cgroup2\n1 2 - cgroup2 x y\n");
    expect(0);
}

static void version_1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", V1_GROUP);
    put("/proc/self/mountinfo", V1_CPUSET V1_CPU V1_MEMORY);
    expect(0);
    put_v1("/a/b", "-1\n", "100000\n");
    expect(0);
    put_v1("/a/b", "150000\n", "100000\n");
    expect(1.5);
    put_v1("/a", "600000\n", "200000\n"); /* wider: of no effect */
    expect(1.5);
    put_v1("/a", "100000\n", "200000\n");
    expect(0.5);
    put_v1("", "20000\n", "100000\n");
    expect(0.2);
    put_v1("/other", "1000\n", "100000\n");
    put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "10\n");
    expect(0.2);
    put_v1("", "0\n", "0\n"); /* no quota at all */
    expect(0.5);
}

static void version_2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/user.slice/app.service\n");
    put("/proc/self/mountinfo", V1_CPUSET V2);
    put("/sys/fs/cgroup/user.slice/app.service/cpu.max", "max 100000\n");
    expect(0);
    put("/sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n");
    expect(2.5);
    put("/sys/fs/cgroup/user.slice/app.service/cpu.max", "50000 100000\n");
    expect(0.5);
    put("/sys/fs/cgroup/user.slice/app.service/cpu.max", "50000\n"); /* cut */
    expect(2.5);
}

/* Both hierarchies are mounted, version 2 without the controller, or both with limits. */
static void hybrid(void **state)
{
    (void)state;
    put("/proc/self/cgroup", V1_GROUP "0::/x\n");
    put("/proc/self/mountinfo",
        V1_CPU "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put_v1("/a/b", "300000\n", "100000\n");
    expect(3);
    put("/sys/fs/cgroup/unified/x/cpu.max", "200000 100000\n");
    expect(2);
}

/* A container sees its own cgroup mounted, under its full name or as the top of a namespace. */
static void containers(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/17ab/inner\n");
    put("/proc/self/mountinfo", "35 31 0:29 /docker/17ab " CPU " rw - cgroup cgroup rw,cpu\n");
    put_v1("", "400000\n", "100000\n");
    expect(4);
    put_v1("/inner", "100000\n", "100000\n");
    expect(1);
    put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/17abc/inner\n"); /* another one's */
    expect(4);
    put("/proc/self/cgroup", "4:cpu,cpuacct:/\n");
    expect(4);
    put("/proc/self/cgroup", "0::/../../outside\n");
    put("/proc/self/mountinfo", V2);
    put("/sys/fs/cgroup/cpu.max", "700000 100000\n");
    expect(7);
}

static void names_with_blanks(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a b/c:d\n");
    put("/proc/self/mountinfo", "30 23 0:26 / /mnt/my\\040groups\\134x rw - cgroup2 none rw\n");
    put("/mnt/my groups\\x/a b/c:d/cpu.max", "300000 100000\n");
    expect(3);
}

/* Ranks of the same cgroup share its quota: they have to know it for the same. */
static void whose_quota(void **state)
{
    (void)state;
    struct stat parent;
    char path[128];
    put("/proc/self/cgroup", "0::/job/one\n");
    put("/proc/self/mountinfo", V2);
    put("/sys/fs/cgroup/job/cpu.max", "200000 100000\n");
    put("/sys/fs/cgroup/job/one/cpu.max", "300000 100000\n");
    put("/sys/fs/cgroup/job/two/cpu.max", "max 100000\n");
    ResrCpuQuota one = resr_cgroup_cpu_quota(root);
    put("/proc/self/cgroup", "0::/job/two\n");
    ResrCpuQuota two = resr_cgroup_cpu_quota(root);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/job", root);
    assert_int_equal(stat(path, &parent), 0);
    assert_true(one.cpus == 2 && two.cpus == 2);
    assert_true(one.inode == parent.st_ino && two.inode == parent.st_ino);
    assert_true(one.device == parent.st_dev && two.device == parent.st_dev);
}

static void memory(void **state)
{
    (void)state;
    put("/proc/self/cgroup", V1_GROUP "0::/x/y\n");
    put("/proc/self/mountinfo",
        V1_MEMORY "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(resr_cgroup_memory_bytes(root) == INT64_MAX);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000000000\n");
    assert_true(resr_cgroup_memory_bytes(root) == 5000000000);
    put("/sys/fs/cgroup/unified/x/y/memory.max", "max\n");
    put("/sys/fs/cgroup/unified/x/memory.max", "1073741824\n");
    assert_true(resr_cgroup_memory_bytes(root) == 1 << 30);
    expect(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_there, start, end),
        cmocka_unit_test_setup_teardown(version_1, start, end),
        cmocka_unit_test_setup_teardown(version_2, start, end),
        cmocka_unit_test_setup_teardown(hybrid, start, end),
        cmocka_unit_test_setup_teardown(containers, start, end),
        cmocka_unit_test_setup_teardown(names_with_blanks, start, end),
        cmocka_unit_test_setup_teardown(whose_quota, start, end),
        cmocka_unit_test_setup_teardown(memory, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

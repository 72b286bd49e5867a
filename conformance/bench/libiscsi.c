/*
 * A load on one LUN through libiscsi, for comparison: it keeps DEPTH commands of BLOCK bytes at random places under way.
 *
 *     libiscsi URL read|write|mixed BLOCK DEPTH SECONDS
 *
 * Prints one line of JSON: commands per second, microseconds of processor time per command, median latency in microseconds.
 * Each command has a buffer of its own that is used again and again, and data lands in it without a copy: the way in which
 * libiscsi is fastest.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

/* Latencies are counted by the microsecond up to this one. */
#define LONGEST 1000000

enum kind { READ, WRITE, MIXED };

struct load {
    struct iscsi_context *iscsi;
    enum kind kind;
    int lun;
    uint32_t block_length, length;
    uint64_t places, random, done, until;
    int under_way;
    uint64_t latencies[LONGEST + 1];
};

struct slot {
    struct load *load;
    struct scsi_iovec iov;
    uint64_t started;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "error: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static double processor_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
         + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* xorshift64: fast, and good enough to choose places. */
static uint64_t next(struct load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return load->random;
}

static void submit(struct slot *slot);

static void ended(struct iscsi_context *iscsi, int status, void *data, void *private)
{
    struct slot *slot = private;
    struct load *load = slot->load;
    uint64_t now = now_us(), latency = now - slot->started;

    if (status != SCSI_STATUS_GOOD)
        fail("a command failed", iscsi_get_error(iscsi));
    scsi_free_scsi_task(data);
    load->latencies[latency < LONGEST ? latency : LONGEST]++;
    load->done++;
    load->under_way--;
    if (now < load->until)
        submit(slot);
}

static void submit(struct slot *slot)
{
    struct load *load = slot->load;
    uint64_t random = next(load);
    uint64_t lba = (random >> 1) % load->places * (load->length / load->block_length);
    int reads = load->kind == READ || (load->kind == MIXED && (random & 1));
    struct scsi_task *task;

    slot->started = now_us();
    if (reads)
        task = iscsi_read16_iov_task(load->iscsi, load->lun, lba, load->length, (int)load->block_length, 0, 0, 0, 0, 0,
                                     ended, slot, &slot->iov, 1);
    else
        task = iscsi_write16_iov_task(load->iscsi, load->lun, lba, NULL, load->length, (int)load->block_length, 0, 0, 0, 0, 0,
                                      ended, slot, &slot->iov, 1);
    if (!task)
        fail("a command cannot be sent", iscsi_get_error(load->iscsi));
    load->under_way++;
}

static void capacity(struct load *load)
{
    struct scsi_task *task = iscsi_readcapacity16_sync(load->iscsi, load->lun);
    struct scsi_readcapacity16 *found = NULL;

    /* The first command of a session meets a unit attention. */
    if (task && task->status != SCSI_STATUS_GOOD) {
        scsi_free_scsi_task(task);
        task = iscsi_readcapacity16_sync(load->iscsi, load->lun);
    }
    if (task && task->status == SCSI_STATUS_GOOD)
        found = scsi_datain_unmarshall(task);
    if (!found)
        fail("READ CAPACITY", iscsi_get_error(load->iscsi));
    load->block_length = found->block_length;
    load->places = (found->returned_lba + 1) / (load->length / found->block_length);
    scsi_free_scsi_task(task);
}

static void turn(struct load *load)
{
    struct pollfd fd = { .fd = iscsi_get_fd(load->iscsi), .events = (short)iscsi_which_events(load->iscsi) };

    if (poll(&fd, 1, 15000) <= 0)
        fail("no answer", errno ? strerror(errno) : "nothing for 15 s");
    if (iscsi_service(load->iscsi, fd.revents) < 0)
        fail("the connection", iscsi_get_error(load->iscsi));
}

static void report(const struct load *load, double seconds, double processor)
{
    uint64_t seen = 0;
    int median = 0;

    while (median < LONGEST && (seen += load->latencies[median]) * 2 < load->done)
        median++;
    printf("{\"iops\":%.1f,\"cpu_us_per_io\":%.4f,\"p50\":%d}\n", (double)load->done / seconds, processor / (double)load->done,
           median);
}

static enum kind kind(const char *name)
{
    if (!strcmp(name, "read"))
        return READ;
    if (!strcmp(name, "write"))
        return WRITE;
    if (!strcmp(name, "mixed"))
        return MIXED;
    fail(name, "is none of read, write, mixed");
    return READ;
}

int main(int argc, char **argv)
{
    static struct load load = { .random = 0x9e3779b97f4a7c15 };
    struct iscsi_url *url;
    struct slot *slots;
    uint64_t start;
    double processor;
    int depth;

    if (argc != 6) {
        fprintf(stderr, "usage: libiscsi URL read|write|mixed BLOCK DEPTH SECONDS\n");
        return 2;
    }
    load.kind = kind(argv[2]);
    load.length = (uint32_t)strtoul(argv[3], NULL, 10);
    depth = atoi(argv[4]);
    load.iscsi = iscsi_create_context("iqn.2026-01.org.example:libiscsi");
    url = load.iscsi ? iscsi_parse_full_url(load.iscsi, argv[1]) : NULL;
    if (!url || depth < 1 || load.length < 512)
        fail("arguments", load.iscsi ? iscsi_get_error(load.iscsi) : "no memory");
    load.lun = url->lun;
    iscsi_set_targetname(load.iscsi, url->target);
    iscsi_set_session_type(load.iscsi, ISCSI_SESSION_NORMAL);
    if (iscsi_full_connect_sync(load.iscsi, url->portal, url->lun))
        fail("login", iscsi_get_error(load.iscsi));
    capacity(&load);

    slots = calloc((size_t)depth, sizeof *slots);
    processor = processor_us();
    start = now_us();
    load.until = start + (uint64_t)(strtod(argv[5], NULL) * 1e6);
    for (int i = 0; slots && i < depth; i++) {
        slots[i].load = &load;
        slots[i].iov.iov_base = calloc(1, load.length);
        slots[i].iov.iov_len = load.length;
        submit(&slots[i]);
    }
    while (load.under_way)
        turn(&load);
    report(&load, (double)(now_us() - start) / 1e6, processor_us() - processor);
    iscsi_logout_sync(load.iscsi);
    return 0;
}

#include "fake_io_threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/segment_encoders.h"
void fake_io_threads_init(ResrIoThreads *io, int64_t frames, int pool_frames)
{
    *io = (ResrIoThreads){.frames = frames, .in_order = true};
    sem_init(&io->credits, 0, (unsigned)pool_frames);
}

void fake_io_threads_hash(char out[RESR_FRAME_HASH_BYTES], int64_t index)
{
    snprintf(out, RESR_FRAME_HASH_BYTES, "%032llx", (unsigned long long)index);
}

ResrFrame *resr_io_threads_next(ResrIoThreads *io)
{
    ResrFrame *frame;
    if (io->decoded == io->frames || io->stopped || sem_trywait(&io->credits) != 0)
        return NULL;
    if (resr_frame_create_placeholder(&frame) < 0)
        abort();
    frame->state = RESR_FRAME_DECODED;
    frame->index = io->decoded++;
    frame->credit = &io->credits;
    fake_io_threads_hash(frame->hash, frame->index);
    return frame;
}

bool resr_io_threads_at_end(ResrIoThreads *io)
{
    return io->decoded == io->frames;
}

void resr_io_threads_stop_decoding(ResrIoThreads *io)
{
    io->stopped = true;
}

void resr_io_threads_encode(ResrIoThreads *io, ResrFrame *frame)
{
    char hash[RESR_FRAME_HASH_BYTES];
    fake_io_threads_hash(hash, frame->index);
    io->in_order = io->in_order && frame->index == io->encoded && strcmp(hash, frame->source) == 0;
    io->encoded++;
    resr_frame_free(frame);
}

ResrSegmentEncoders *resr_io_threads_encoders(ResrIoThreads *io)
{
    return (ResrSegmentEncoders *)io;
}

/* Of other ranks' encoders; the tests that use this file have none. */
int resr_segment_encoders_start(ResrSegmentEncoders **out, const ResrSegmentEncodersConfig *config)
{
    (void)out;
    (void)config;
    abort();
}

void resr_segment_encoders_free(ResrSegmentEncoders *encoders)
{
    (void)encoders;
    abort();
}

int64_t resr_segment_encoders_packets(const ResrSegmentEncoders *encoders)
{
    (void)encoders;
    abort();
}

double resr_segment_encoders_seconds(const ResrSegmentEncoders *encoders)
{
    (void)encoders;
    abort();
}

void resr_segment_encoders_add_frame(ResrSegmentEncoders *encoders, ResrFrame *frame)
{
    (void)encoders;
    resr_frame_free(frame);
}

void resr_segment_encoders_import_segment(ResrSegmentEncoders *encoders, ResrSegment *segment)
{
    ((ResrIoThreads *)encoders)->imported++;
    resr_segment_free(segment);
}

void resr_segment_encoders_end(ResrSegmentEncoders *encoders, int64_t frames)
{
    ((ResrIoThreads *)encoders)->end = frames;
}

bool resr_io_threads_committed(ResrIoThreads *io, int64_t *first, int64_t *frames)
{
    (void)io;
    (void)first;
    (void)frames;
    return false;
}

int64_t resr_io_threads_encoded(const ResrIoThreads *io)
{
    return io->encoded;
}

int resr_io_threads_status(ResrIoThreads *io)
{
    (void)io;
    return 0;
}

void resr_io_threads_finish(ResrIoThreads *io)
{
    io->finishing = true;
}

bool resr_io_threads_finished(const ResrIoThreads *io)
{
    return io->finishing;
}

ResrIoThreadsState resr_io_threads_state(ResrIoThreads *io)
{
    (void)io;
    return (ResrIoThreadsState){.backlog = false};
}

#include "predict/model.h"

#include <math.h>

/* Stands for infinity: larger than any meaningful time, and a few products of it are finite. */
#define ENDLESS 1e100

/* A batch file is written and read back. */
#define DISK_PASSES 2

#define DEFAULT_VIDEO_FPS 25

/* Largest share of the processors that decoder and encoder can take. */
#define MOST_SHARE 0.9

/* Largest share of a rank's time that it waits for a thread whose processor a codec uses: the
 * system moves threads between processors. */
#define MOST_WAITING 0.5
#define BISECTIONS 60

const char *resr_predict_stage_name(ResrPredictStage stage)
{
    static const char *const names[] = {"compute", "pcie",   "network", "decode",  "encode",
                                        "disk",    "memory", "tail",    "start-up"};
    return names[stage];
}

/* The ranks of a prediction together. */
typedef struct Ranks {
    double n;            /* computing ranks */
    double frames;       /* of the video */
    double seconds;      /* per frame of a rank, transfers to its device included */
    double codec_cpu;    /* processor seconds of decoding and encoding a frame */
    double per_second;   /* frames of all ranks */
    double machines;     /* that encode */
    double encoders;     /* on all those machines */
    double root_seconds; /* per frame of rank 0; ENDLESS: rank 0 does not compute */
} Ranks;

static double limited(double value)
{
    return value < ENDLESS ? fmax(value, 0) : ENDLESS; /* NaN becomes ENDLESS */
}

/* Seconds for `amount` at `rate`. */
static double at_rate(double amount, double rate)
{
    return rate > 0 ? limited(amount / rate) : 0;
}

/* Frames that the encoder holds when the last one arrives: at most those of the last segment. */
static double encoder_backlog(const ResrPredictInput *in, double frames)
{
    double last = in->segment_frames > 0 ? fmod(frames - 1, in->segment_frames) + 1 : frames;
    return fmin(fmax(in->encode_lag_frames, 0), last);
}

/* Total frames per second when rank 0's host encodes `fps`: decoder and encoder take a share of its
 * processors, which slows the processors' work of the ranks there, but not the time in which they
 * wait for a device. */
static double speed_beside_codecs(const Ranks *ranks, const ResrPredictInput *in, double here,
                                  double fps)
{
    double cpus = in->host_cpus * ranks->machines;
    double coded = in->encode_fps > 0 ? fmin(fps, in->encode_fps * ranks->encoders) : fps;
    double share = cpus > 0 ? fmin(coded * ranks->codec_cpu / cpus, MOST_SHARE) : 0;
    double busy = fmin(in->frame_cpu_seconds, ranks->seconds);
    double threads =
        fmax(in->frame_cpu_seconds / ranks->seconds, 1); /* which wait for each other */
    double kept = fmax(share, fmin(1 - pow(1 - share, threads), MOST_WAITING));
    double local = here / (ranks->seconds + busy * kept / (1 - kept));
    if (in->frame_cpu_seconds > 0 && cpus > 0)
        local = fmin(local, cpus * (1 - share) / in->frame_cpu_seconds);
    return (ranks->n - here) / ranks->seconds + local;
}

/* Solves for the speed of all ranks beside decoder and encoder. The scheduler assigns work by
 * measured speed, so that slow ranks on rank 0's host do not delay other hosts. */
static void share_processors(Ranks *ranks, const ResrPredictInput *in)
{
    double most = in->host_ranks > 1 ? in->host_ranks : 1;
    double here = in->ranks_encode ? ranks->n : fmin(in->root_computes ? most : most - 1, ranks->n);
    double low = 0, high = ranks->n / ranks->seconds; /* more frames mean more encoding */
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (low + high) / 2;
        if (speed_beside_codecs(ranks, in, here, middle) > middle)
            low = middle;
        else
            high = middle;
    }
    ranks->per_second = fmax(high, 1 / ENDLESS);
    double local = high - (ranks->n - here) / ranks->seconds;
    ranks->root_seconds = in->root_computes && local > 0 ? limited(here / local) : ENDLESS;
}

/* Time of rank 0's link for the frames that other ranks compute. A rank computes one part while it
 * receives the next: latency matters only if a transfer takes longer than computing a part. */
static double network_seconds(const Ranks *ranks, const ResrPredictInput *in)
{
    double remote = in->root_computes ? ranks->n - 1 : ranks->n;
    double part = in->part_frames > 1 ? (double)in->part_frames : 1;
    double out_bytes = in->ranks_encode ? 0 : in->out_bytes;
    double frame = at_rate(fmax(in->in_bytes, out_bytes), in->network_bytes) +
                   fmax(in->message_seconds, 0) / part;
    double way = 2 * fmax(in->latency_seconds, 0) +
                 at_rate(part * (in->in_bytes + in->out_bytes), in->network_bytes);
    double waiting = (way + part * ranks->seconds) / (2 * part);
    double per_second = waiting > ranks->seconds ? remote / waiting : ENDLESS;
    if (frame > 0)
        per_second = fmin(per_second, 1 / frame);
    if (remote <= 0 || per_second >= ENDLESS)
        return 0;
    return limited(ranks->frames / (1 / ranks->root_seconds + per_second));
}

static double encode_seconds(const Ranks *ranks, const ResrPredictInput *in)
{
    double cpu = fmax(in->decode_cpu_seconds, 0) + fmax(in->encode_cpu_seconds, 0);
    return fmax(at_rate(ranks->frames, in->encode_fps * ranks->encoders),
                at_rate(ranks->frames * cpu, in->host_cpus * ranks->machines));
}

static void fill_stages(double seconds[RESR_PREDICT_STAGES], Ranks *ranks,
                        const ResrPredictInput *in)
{
    double device = at_rate(fmax(in->in_bytes, in->out_bytes), in->device_bytes);
    double room = in->pool_frames > 1 ? (double)in->pool_frames - 1 : 1; /* one is being encoded */
    share_processors(ranks, in);
    seconds[RESR_PREDICT_COMPUTE] = limited(ranks->frames / ranks->per_second);
    seconds[RESR_PREDICT_PCIE] = limited(ranks->frames * device / ranks->n);
    if (in->pool_frames > 0 && room < ranks->n)
        seconds[RESR_PREDICT_MEMORY] = limited(ranks->frames * ranks->seconds / room);
    ranks->seconds = fmax(ranks->seconds, device);
    seconds[RESR_PREDICT_NETWORK] = network_seconds(ranks, in);
    seconds[RESR_PREDICT_DECODE] = at_rate(ranks->frames, in->decode_fps);
    seconds[RESR_PREDICT_ENCODE] = encode_seconds(ranks, in);
    seconds[RESR_PREDICT_DISK] =
        at_rate(ranks->frames * DISK_PASSES * in->out_bytes, in->disk_bytes);
}

/* Frames are not divided: time of the rank with the most frames. */
static double whole_frames_seconds(const Ranks *ranks, double devices_seconds)
{
    double at_once = fmin(ranks->frames * ranks->seconds / devices_seconds, ranks->n);
    double each = ranks->frames / ceil(at_once - 1e-9);
    return limited(ceil(each - 1e-9) / each * devices_seconds);
}

static ResrPredictStage find_limit(const ResrPrediction *p, const Ranks *ranks)
{
    int limit = RESR_PREDICT_COMPUTE;
    double devices = 0, most = 0;
    for (int i = 0; i < RESR_PREDICT_STAGES; i++) {
        bool device =
            i == RESR_PREDICT_COMPUTE || i == RESR_PREDICT_PCIE || i == RESR_PREDICT_MEMORY;
        if (p->stage_seconds[i] > most) {
            most = p->stage_seconds[i];
            limit = i;
        }
        if (device)
            devices = fmax(devices, p->stage_seconds[i]);
    }
    bool few_frames = ranks->n >= ranks->frames || p->tail_seconds > devices;
    if (devices + p->tail_seconds >= most && few_frames) {
        most = devices + p->tail_seconds;
        limit = RESR_PREDICT_TAIL;
    }
    return p->start_seconds > most ? RESR_PREDICT_START : (ResrPredictStage)limit;
}

void resr_predict(ResrPrediction *out, const ResrPredictInput *in, int count)
{
    double all = count > 1 ? count : 1;
    Ranks ranks = {.n = in->root_computes || all < 2 ? all : all - 1,
                   .frames = in->frames > 0 ? (double)in->frames : 0,
                   .seconds = fmax(limited(in->frame_seconds), 1 / ENDLESS)};
    double host = in->host_ranks > 1 ? in->host_ranks : 1;
    ranks.machines = in->ranks_encode ? ceil(all / host) : 1;
    ranks.encoders = fmax(in->encoders, 1) * (in->ranks_encode ? ranks.n : 1);
    double *seconds = out->stage_seconds;
    *out = (ResrPrediction){.ranks = (int32_t)all, .limit = RESR_PREDICT_START};
    double weights = ceil(log2(all)) * at_rate(in->model_bytes, in->network_bytes);
    double cpus =
        at_rate(fmin(all, fmax(in->host_ranks, 1)) * in->start_cpu_seconds, in->host_cpus);
    out->start_seconds = limited(fmax(fmax(in->start_seconds, cpus), 0) + weights +
                                 (all - 1) * fmax(in->start_rank_seconds, 0));
    out->wall_seconds = out->start_seconds;
    if (ranks.frames <= 0)
        return;

    double alone = ranks.seconds, backlog = encoder_backlog(in, ranks.frames);
    ranks.codec_cpu = fmax(in->decode_cpu_seconds, 0) +
                      fmax(in->encode_cpu_seconds, 0) * (1 - backlog / ranks.frames);
    fill_stages(seconds, &ranks, in);
    double devices = fmax(fmax(seconds[RESR_PREDICT_COMPUTE], seconds[RESR_PREDICT_PCIE]),
                          seconds[RESR_PREDICT_MEMORY]);
    double whole = fmax(whole_frames_seconds(&ranks, devices), devices);
    out->tail_seconds = whole - devices;
    /* Ranks start one after the other as frames are decoded; on average half of them wait. */
    double begin = at_rate(fmin(ranks.n, ranks.frames) / 2, in->decode_fps);
    double way = ranks.n > 1 || !in->root_computes
                     ? 2 * fmax(in->latency_seconds, 0) +
                           at_rate(in->in_bytes + in->out_bytes, in->network_bytes)
                     : 0;
    double made = fmax(fmax(begin + way + whole, seconds[RESR_PREDICT_NETWORK]),
                       seconds[RESR_PREDICT_DECODE]);
    /* The encoder starts when its lookahead is full. */
    double first = fmin(fmax(in->encode_lag_frames, 0), ranks.frames) / ranks.per_second;
    double end = fmax(made + at_rate(backlog, in->encode_fps),
                      fmax(first, ranks.seconds) + seconds[RESR_PREDICT_ENCODE]);
    out->wall_seconds = limited(out->start_seconds + fmax(end, seconds[RESR_PREDICT_DISK]));
    out->limit = find_limit(out, &ranks);
    double wall = fmax(out->wall_seconds, 1 / ENDLESS);
    double fps = in->video_fps > 0 ? in->video_fps : DEFAULT_VIDEO_FPS;
    out->frames_per_second = limited(ranks.frames / wall);
    out->efficiency = fmin(limited(ranks.frames * alone / ranks.n / wall), 1);
    out->device_seconds_per_minute = limited(all * wall / ranks.frames * fps * 60);
}

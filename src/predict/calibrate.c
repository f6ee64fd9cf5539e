#include "predict/calibrate.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "net/upscale.h"

/* A rank, played by a thread. */
typedef struct Player {
    const ResrPlan *plan;
    ResrFrame *frame;
    ResrUpscaler *upscaler;
    pthread_t thread;
    double limit_seconds;
    double seconds; /* of a frame */
    int64_t frames; /* with the one that warms up */
    int status;
    char error[RESR_ERROR_TEXT_BYTES];
} Player;

static int upscale(Player *player)
{
    ResrFrame *out = NULL;
    int ret = resr_upscaler_submit(player->upscaler, &player->frame, 1, NULL);
    if (ret == 0)
        ret = resr_upscaler_collect(player->upscaler, &out);
    if (ret == 0)
        resr_frame_hash(out->hash, &player->plan->output, out);
    resr_frame_free(out);
    player->frames++;
    return ret;
}

static void *play(void *argument)
{
    Player *player = argument;
    int64_t start_ns = resr_clock_ns();
    int64_t warm_up = 0;
    player->status = upscale(player);
    if (resr_clock_seconds_since(start_ns) < player->limit_seconds) {
        start_ns = resr_clock_ns();
        warm_up = 1;
    }
    while (player->status == 0 && (player->frames == warm_up ||
                                   resr_clock_seconds_since(start_ns) < player->limit_seconds))
        player->status = upscale(player);
    player->seconds = resr_clock_seconds_since(start_ns) / (double)(player->frames - warm_up);
    if (player->status < 0)
        snprintf(player->error, sizeof player->error, "%s", resr_error_text());
    return NULL;
}

/* The first one plays in this thread, whose device is set. */
static int play_all(ResrUpscaleRate *out, Player *players, int count)
{
    int64_t cpu_ns = resr_clock_cpu_ns();
    int started = 1, ret = 0;
    double per_second = 0;
    while (started < count &&
           pthread_create(&players[started].thread, NULL, play, &players[started]) == 0)
        started++;
    play(&players[0]);
    for (int i = 0; i < started; i++) {
        if (i > 0)
            pthread_join(players[i].thread, NULL);
        if (players[i].status < 0)
            ret = resr_fail(players[i].status, "%s", players[i].error);
        per_second += 1 / players[i].seconds;
        out->frames += players[i].frames;
    }
    if (started < count)
        return resr_fail(RESR_ERR_INTERNAL, "a thread cannot be started");
    out->seconds = count / per_second;
    out->cpu_seconds = (double)(resr_clock_cpu_ns() - cpu_ns) * 1e-9 / (double)out->frames;
    return ret;
}

int resr_calibrate_upscale(ResrUpscaleRate *out, const ResrOps *ops, const ResrModel *model,
                           const ResrPlan *plan, ResrFrame *frame, int threads, int ranks,
                           double seconds)
{
    Player *players;
    *out = (ResrUpscaleRate){0};
    int ret = resr_alloc(&players, (size_t)ranks, sizeof *players);
    if (ret < 0)
        return ret;
    for (int i = 0; ret == 0 && i < ranks; i++) {
        players[i] = (Player){.plan = plan, .frame = frame, .limit_seconds = seconds};
        ret = resr_upscaler_create(&players[i].upscaler, ops, model, &plan->input, &plan->output,
                                   plan->tile_px, plan->tile_pad_px, threads);
    }
    if (ret == 0)
        ret = play_all(out, players, ranks);
    for (int i = 0; i < ranks; i++)
        resr_upscaler_free(players[i].upscaler);
    free(players);
    return ret;
}

#include "job/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define BAR_WIDTH 30
#define BAR_INTERVAL_NS 200000000   /* a terminal: five times a second */
#define LINE_INTERVAL_NS 5000000000 /* a log file: every five seconds */
#define JSON_INTERVAL_NS 1000000000

static void wipe_bar(void)
{
    static const char wipe[] = "\r\033[K";
    ssize_t written = write(STDERR_FILENO, wipe, sizeof wipe - 1);
    (void)written;
}

void resr_progress_start(ResrProgress *progress, int mode, int64_t frames_total)
{
    if (mode == RESR_PROGRESS_AUTO)
        mode = isatty(STDERR_FILENO) ? RESR_PROGRESS_BAR : RESR_PROGRESS_PLAIN;
    int64_t now = resr_clock_ns();
    *progress = (ResrProgress){mode, now, now, frames_total, -1, NULL};
    resr_log_set_hook(mode == RESR_PROGRESS_BAR ? wipe_bar : NULL);
}

static void format_time(char out[32], double seconds)
{
    if (seconds < 0 || seconds > 359999)
        snprintf(out, 32, "--:--");
    else if (seconds >= 3600)
        snprintf(out, 32, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60,
                 (int)seconds % 60);
    else
        snprintf(out, 32, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
}

static void draw(ResrProgress *progress, int64_t frames, int64_t restored)
{
    double elapsed = resr_clock_seconds_since(progress->start_ns);
    int64_t made = frames > restored ? frames - restored : 0;
    double rate = elapsed > 0 ? (double)made / elapsed : 0;
    int64_t total = progress->frames_total < frames ? 0 : progress->frames_total;
    double left = total > 0 && rate > 0 ? (double)(total - frames) / rate : -1;
    char eta[32], count[48];
    format_time(eta, left);
    if (total > 0)
        snprintf(count, sizeof count, "%" PRId64 "/%" PRId64, frames, total);
    else
        snprintf(count, sizeof count, "%" PRId64, frames);

    if (progress->mode == RESR_PROGRESS_JSON) {
        fprintf(stderr,
                "{\"frames\": %" PRId64 ", \"frames_total\": %" PRId64
                ", \"frames_per_second\": %.3f, \"elapsed_seconds\": %.2f, \"eta_seconds\": %.1f, "
                "\"limit\": %s%s%s}\n",
                frames, progress->frames_total, rate, elapsed, left, progress->limit ? "\"" : "",
                progress->limit ? progress->limit : "null", progress->limit ? "\"" : "");
    } else if (progress->mode == RESR_PROGRESS_PLAIN) {
        resr_log_info("%s frames, %.2f frames/s, %s left", count, rate, eta);
    } else {
        char bar[BAR_WIDTH + 1];
        int filled = total > 0 ? (int)(frames * BAR_WIDTH / total) : 0;
        memset(bar, ' ', BAR_WIDTH);
        memset(bar, '#', (size_t)filled);
        bar[BAR_WIDTH] = 0;
        fprintf(stderr, "\r\033[K[%s] %s frames  %.2f frames/s  %s left%s%s", bar, count, rate, eta,
                progress->limit ? "  limit: " : "", progress->limit ? progress->limit : "");
    }
    progress->frames_shown = frames;
    progress->last_ns = resr_clock_ns();
}

void resr_progress_update(ResrProgress *progress, int64_t frames, int64_t restored)
{
    int64_t interval = progress->mode == RESR_PROGRESS_BAR    ? BAR_INTERVAL_NS
                       : progress->mode == RESR_PROGRESS_JSON ? JSON_INTERVAL_NS
                                                              : LINE_INTERVAL_NS;
    if (progress->mode != RESR_PROGRESS_NONE && resr_clock_ns() - progress->last_ns >= interval)
        draw(progress, frames, restored);
}

void resr_progress_end(ResrProgress *progress, int64_t frames, int64_t restored)
{
    progress->limit = NULL;
    if (progress->mode == RESR_PROGRESS_BAR || progress->mode == RESR_PROGRESS_JSON)
        draw(progress, frames, restored);
    if (progress->mode == RESR_PROGRESS_BAR)
        fputc('\n', stderr);
    resr_log_set_hook(NULL);
}

/* How it works. With --on-error continue, each lost picture is replaced by the picture before it,
 * so that sound and picture stay together. Two sources tell which are lost:
 *
 *   rejects   packets without a picture: their timestamps are in `lost`
 *   gaps      an interval of n frame durations between two pictures: n - 1 lost pictures
 *
 * A gap counts only among the PICTURES_HELD pictures after a sign of damage (`suspicion`); others
 * are the video's own (variable frame rate).
 *
 * Before the first picture, packets without a picture are judged together, when that picture is
 * returned: streams that can be cut anywhere begin with undecodable pictures, and leading pictures
 * of the first keyframe are legal; everything else is damage. */

#include "media/damage.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

/* Largest number of pictures, from before the damage, that a decoder may still hold. */
enum { PICTURES_HELD = 32 };

int resr_damage_lead(ResrDamage *d, const AVPacket *packet)
{
    int ret = resr_grow(&d->lead, &d->lead_capacity, d->lead_count, sizeof *d->lead);
    if (ret == 0)
        d->lead[d->lead_count++] =
            (ResrLeadPacket){packet->pts, (packet->flags & AV_PKT_FLAG_KEY) != 0,
                             (packet->flags & AV_PKT_FLAG_DISCARD) != 0};
    return ret;
}

int64_t resr_damage_count_lead(const ResrDamage *d, int64_t pts, bool counted, bool any_start,
                               bool *fatal)
{
    int64_t early = 0, excused = 0, before_key = 0, key = AV_NOPTS_VALUE;
    bool timed = pts != AV_NOPTS_VALUE, had_key = false;
    *fatal = false;
    for (size_t i = 0; i < d->lead_count; i++) {
        const ResrLeadPacket *packet = &d->lead[i];
        bool is_early = packet->pts < pts && !packet->discarded;
        timed = timed && packet->pts != AV_NOPTS_VALUE;
        if (packet->key && !had_key)
            key = packet->pts;
        had_key = had_key || packet->key;
        bool leads = !packet->key && (had_key ? packet->pts < key : !counted || any_start);
        before_key += !had_key;
        excused += leads || packet->discarded || (any_start && is_early);
        early += is_early;
        *fatal = *fatal || (is_early && !leads && !any_start);
    }
    if (timed) {
        *fatal = *fatal || d->lead_errors > excused;
        return early;
    }
    *fatal = d->lead_errors > 0 && !any_start;
    return d->lead_errors > before_key ? d->lead_errors : before_key;
}

int resr_damage_add_loss(ResrDamage *d, int64_t pts)
{
    d->suspicion = PICTURES_HELD;
    if (pts == AV_NOPTS_VALUE)
        return 0;
    int ret = resr_grow(&d->lost, &d->lost_capacity, d->lost_count, sizeof *d->lost);
    if (ret == 0)
        d->lost[d->lost_count++] = pts;
    return ret;
}

bool resr_damage_find_gap(ResrDamage *d, int64_t *pts, int64_t last, int64_t next, double step,
                          int64_t limit)
{
    int64_t first = INT64_MAX;
    assert(last < next && d->suspicion >= 0);
    for (size_t i = 0; i < d->lost_count; i++)
        if (d->lost[i] > last && d->lost[i] < first)
            first = d->lost[i];
    *pts = first;
    if (next == INT64_MAX && step > 0 && (double)first - (double)last > PICTURES_HELD * step)
        return false; /* a damaged time says nothing */
    if (first < next)
        return true;
    if (d->suspicion == 0 || next == INT64_MAX || step <= 0)
        return false;
    double gap = (double)next - (double)last, frames = round(gap / step);
    if (frames < 2 || frames - 1 > (double)limit)
        return false;
    *pts = last + llround(gap / frames);
    return true;
}

void resr_damage_advance(ResrDamage *d, int64_t pts)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->lost_count; i++)
        if (d->lost[i] > pts)
            d->lost[kept++] = d->lost[i];
    d->lost_count = kept;
}

void resr_damage_free(ResrDamage *d)
{
    free(d->lead);
    free(d->lost);
}

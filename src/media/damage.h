#ifndef RESR_MEDIA_DAMAGE_H
#define RESR_MEDIA_DAMAGE_H

/* The missing frames of a damaged video: packets before the first picture, and the times at which
 * the previous frame is repeated. Not for other folders. One thread. */

#include <libavcodec/avcodec.h>
#include <stdbool.h>

#include "base/error.h"

/* A packet that was sent to the decoder before the first picture was returned. */
typedef struct ResrLeadPacket {
    int64_t pts;
    bool key, discarded;
} ResrLeadPacket;

typedef struct ResrDamage {
    ResrLeadPacket *lead;
    size_t lead_count, lead_capacity;
    int64_t lead_errors; /* packets and pictures that the decoder could not use */
    int64_t *lost;       /* timestamps of packets without a picture, unordered */
    size_t lost_count, lost_capacity;
    int suspicion; /* number of following pictures before which a gap is damage */
} ResrDamage;

/* Records a packet that is sent before the first picture. RESR_ERR_INTERNAL (memory). */
RESR_MUST_CHECK int resr_damage_lead(ResrDamage *damage, const AVPacket *packet);

/* Number of packets before the first picture, whose time is `pts`, that gave no picture. *fatal:
 * these packets are damage. Not damage: pictures before the first keyframe in a stream that may
 * start anywhere (`any_start`) or that declares no number of frames (`counted`), and leading
 * pictures of the first keyframe. */
int64_t resr_damage_count_lead(const ResrDamage *damage, int64_t pts, bool counted, bool any_start,
                               bool *fatal);

/* Records a loss at the time `pts`, or at an unknown time (AV_NOPTS_VALUE). */
RESR_MUST_CHECK int resr_damage_add_loss(ResrDamage *damage, int64_t pts);

/* True if a picture is missing between the times `last` and `next` (INT64_MAX: the input has
 * ended); *pts is the picture's time. `step`: duration of a frame, 0 if it varies; at most `limit`
 * frames are filled in. */
bool resr_damage_find_gap(ResrDamage *damage, int64_t *pts, int64_t last, int64_t next, double step,
                          int64_t limit);

/* Records that a picture of time `pts` is returned. */
void resr_damage_advance(ResrDamage *damage, int64_t pts);

void resr_damage_free(ResrDamage *damage);

#endif

#include "job/load.h"

/* Ranks that are at work for so much of their time are what limits, whatever else is busy. */
#define AT_WORK 0.9

const char *resr_load_limit(const ResrLoad *load)
{
    double lost = 1 - load->computing;
    if (load->computing >= AT_WORK)
        return "compute";
    if (load->under_way >= lost / 2)
        return "network";
    if (load->decoder_rests < 0.5)
        return "decode";
    /* Frames are there, or were all there: something behind the ranks holds them. */
    if (load->backlog >= 0.5)
        return load->committing >= 0.5 ? "disk" : "encode";
    if (load->writing >= 0.5)
        return "disk";
    return "compute"; /* all wait for the oldest frame, or for the last ones */
}

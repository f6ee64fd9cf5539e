#include <lcms2.h>
#include <stdlib.h>

#include "media/picture_formats.h"

struct ResrInks {
    cmsHTRANSFORM transform; /* NULL: the formula applies */
    int bits;
};

/* NULL if the profile is not one of inks. */
static cmsHPROFILE open_profile(ResrInkKind kind, const ResrPictureBlob *icc)
{
    if (kind == RESR_INKS_LAB)
        return cmsCreateLab4Profile(NULL);
    cmsHPROFILE profile = cmsOpenProfileFromMem(icc->data, (cmsUInt32Number)icc->bytes);
    if (profile && cmsGetColorSpace(profile) != cmsSigCmykData) {
        cmsCloseProfile(profile);
        return NULL;
    }
    return profile;
}

int resr_inks_open(ResrInks **out, ResrInkKind kind, const ResrPictureBlob *icc, int bits,
                   const char *path)
{
    static const cmsUInt32Number in_type[2][2] = {{TYPE_CMYK_8, TYPE_CMYK_16},
                                                  {TYPE_Lab_8, TYPE_Lab_16}};
    int ret = resr_alloc(out, 1, sizeof **out);
    if (ret < 0)
        return ret;
    (*out)->bits = bits;
    if (kind == RESR_INKS_CMYK && icc->bytes == 0)
        return 0;
    cmsHPROFILE from = open_profile(kind, icc), to = cmsCreate_sRGBProfile();
    if (from && to)
        (*out)->transform = cmsCreateTransform(from, in_type[kind][bits == 16], to,
                                               bits == 16 ? TYPE_RGB_16 : TYPE_RGB_8,
                                               INTENT_PERCEPTUAL, cmsFLAGS_NOCACHE);
    if (from)
        cmsCloseProfile(from);
    if (to)
        cmsCloseProfile(to);
    if ((*out)->transform)
        return 0;
    free(*out);
    *out = NULL;
    return resr_fail(RESR_ERR_DATA,
                     "%s: the CMYK colour profile cannot be used; convert the picture to RGB first",
                     path);
}

/* Each ink passes the light that it does not absorb; black ink absorbs all colours. */
static uint32_t light(uint32_t ink, uint32_t black, uint32_t most)
{
    uint32_t left = most - black;
    return left - (uint32_t)(((uint64_t)ink * left + most / 2) / most);
}

void resr_inks_convert(const ResrInks *inks, void *out, const void *in, size_t pixels)
{
    if (inks->transform) {
        cmsDoTransform(inks->transform, in, out, (cmsUInt32Number)pixels);
        return;
    }
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            if (inks->bits == 16)
                ((uint16_t *)out)[3 * i + c] = (uint16_t)light(
                    ((const uint16_t *)in)[4 * i + c], ((const uint16_t *)in)[4 * i + 3], 65535);
            else
                ((uint8_t *)out)[3 * i + c] = (uint8_t)light(((const uint8_t *)in)[4 * i + c],
                                                             ((const uint8_t *)in)[4 * i + 3], 255);
}

void resr_inks_close(ResrInks *inks)
{
    if (!inks)
        return;
    if (inks->transform)
        cmsDeleteTransform(inks->transform);
    free(inks);
}

/* Embedded ICC profiles to sRGB, through Little CMS, as Pillow's ImageCms.profileToProfile does it (perceptual intent).
 *
 * A profile that changes no colour of a lattice by more than a step is sRGB by another name (what most cameras embed) and is left
 * out, so that those pictures stay what the file holds. A malformed profile counts as none. */
#include <stdlib.h>

#include <lcms2.h>

#include "worker/picture/picture.h"

enum { PROFILE_BYTES_MIN = 132, PROFILE_BYTES_MAX = 8 << 20, LATTICE = 17, SAME_MAX = 1 };

struct weft_colour {
    cmsHTRANSFORM three, four; /* rows of 3 bytes; rows of 4 with alpha, or of ink */
};

static bool is_identity(cmsHTRANSFORM transform) {
    for (int r = 0; r < LATTICE; r++)
        for (int g = 0; g < LATTICE; g++) {
            uint8_t in[LATTICE][3], out[LATTICE][3];
            for (int b = 0; b < LATTICE; b++) {
                const int at[3] = {r, g, b};
                for (int c = 0; c < 3; c++) in[b][c] = (uint8_t)(at[c] * 255 / (LATTICE - 1));
            }
            cmsDoTransform(transform, in, out, LATTICE);
            for (int b = 0; b < LATTICE; b++)
                for (int c = 0; c < 3; c++)
                    if (abs(in[b][c] - out[b][c]) > SAME_MAX) return false;
        }
    return true;
}

static void make_transforms(weft_colour *colour, cmsHPROFILE from, cmsHPROFILE to, int components) {
    cmsUInt32Number in = components == 1 ? TYPE_GRAY_8 : components == 3 ? TYPE_RGB_8 : TYPE_CMYK_8;
    colour->three = cmsCreateTransform(from, in, to, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    if (components == 3 && colour->three && !is_identity(colour->three))
        colour->four = cmsCreateTransform(from, TYPE_RGBA_8, to, TYPE_RGBA_8, INTENT_PERCEPTUAL, 0);
}

weft_colour *weft_colour_open(const uint8_t *bytes, size_t size, int components) {
    if (!bytes || size < PROFILE_BYTES_MIN || size > PROFILE_BYTES_MAX) return NULL;
    cmsHPROFILE from = cmsOpenProfileFromMem(bytes, (cmsUInt32Number)size), to = cmsCreate_sRGBProfile();
    cmsColorSpaceSignature want = components == 1 ? cmsSigGrayData : components == 3 ? cmsSigRgbData : cmsSigCmykData;
    weft_colour *colour = from && to && cmsGetColorSpace(from) == want ? calloc(1, sizeof *colour) : NULL;
    if (colour) make_transforms(colour, from, to, components);
    if (from) cmsCloseProfile(from);
    if (to) cmsCloseProfile(to);
    if (colour && colour->three && (components != 3 || colour->four)) return colour;
    weft_colour_close(colour);
    return NULL;
}

void weft_colour_close(weft_colour *colour) {
    if (!colour) return;
    if (colour->three) cmsDeleteTransform(colour->three);
    if (colour->four) cmsDeleteTransform(colour->four);
    free(colour);
}

void weft_colour_apply(const weft_colour *colour, uint8_t *pixels, int64_t count, int channels) {
    enum { RUN = 1 << 20 };
    for (int64_t at = 0; colour && at < count; at += RUN) {
        uint8_t *run = pixels + at * channels;
        cmsDoTransform(channels == 4 ? colour->four : colour->three, run, run, (cmsUInt32Number)(count - at < RUN ? count - at : RUN));
    }
}

void weft_colour_expand(const weft_colour *colour, uint8_t *rgb, const uint8_t *values, int64_t count) {
    cmsDoTransform(colour->three, values, rgb, (cmsUInt32Number)count);
}

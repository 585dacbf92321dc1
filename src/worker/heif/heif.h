/* AVIF and HEIC to RGB. The image member of weft_worker_program. */
#ifndef WEFT_WORKER_HEIF_HEIF_H
#define WEFT_WORKER_HEIF_HEIF_H

#include "worker/picture/picture.h"

weft_picture_decoder weft_avif_decode, weft_heic_decode;
weft_status weft_heif_decode(const uint8_t *bytes, size_t size, const weft_media_limits *limits, bool probe, weft_image *image,
                             weft_error *err);
void weft_heif_warm_up(void);

#endif

/* Formats by their first bytes. Compares constants, parses nothing, never reads past `size`. */
#include <string.h>

#include "media/media.h"

typedef struct known_format {
    uint8_t at, length;
    const char *magic;
    weft_media_format format;
    const char *name;
} known_format;

static const known_format known[] = {
    {0, 3, "\xFF\xD8\xFF", WEFT_MEDIA_JPEG, "a JPEG picture"},
    {0, 8, "\x89PNG\r\n\x1A\n", WEFT_MEDIA_PNG, "a PNG picture"},
    {8, 4, "WEBP", WEFT_MEDIA_WEBP, "a WebP picture"},
    {0, 6, "GIF87a", WEFT_MEDIA_GIF, "a GIF picture"},
    {0, 6, "GIF89a", WEFT_MEDIA_GIF, "a GIF picture"},
    {0, 2, "BM", WEFT_MEDIA_BMP, "a BMP picture"},
    {0, 4, "II*\0", WEFT_MEDIA_TIFF, "a TIFF picture"},
    {0, 4, "MM\0*", WEFT_MEDIA_TIFF, "a TIFF picture"},
    {0, 4, "II+\0", WEFT_MEDIA_TIFF, "a BigTIFF picture"},
    {0, 4, "MM\0+", WEFT_MEDIA_TIFF, "a BigTIFF picture"},
    {0, 5, "%PDF-", WEFT_MEDIA_PDF, "a PDF document"},
    {0, 4, "<svg", WEFT_MEDIA_OTHER, "an SVG drawing"},
    {0, 5, "<?xml", WEFT_MEDIA_OTHER, "an XML document"},
    {0, 4, "\x1A\x45\xDF\xA3", WEFT_MEDIA_OTHER, "a Matroska video"},
    {8, 4, "AVI ", WEFT_MEDIA_OTHER, "an AVI video"},
    {0, 12, "\0\0\0\x0CjP  \r\n\x87\n", WEFT_MEDIA_OTHER, "a JPEG 2000 picture"},
    {0, 2, "\xFF\x0A", WEFT_MEDIA_OTHER, "a JPEG XL picture"},
    {0, 8, "\0\0\0\x0CJXL ", WEFT_MEDIA_OTHER, "a JPEG XL picture"},
    {0, 4, "8BPS", WEFT_MEDIA_OTHER, "a Photoshop picture"},
    {0, 4, "PK\3\4", WEFT_MEDIA_OTHER, "a ZIP archive or an office document"},
    {0, 4, "\xD0\xCF\x11\xE0", WEFT_MEDIA_OTHER, "an old office document"},
    {0, 3, "ID3", WEFT_MEDIA_OTHER, "a sound"},
    {8, 4, "WAVE", WEFT_MEDIA_OTHER, "a sound"},
    {0, 4, "OggS", WEFT_MEDIA_OTHER, "an Ogg file"},
    {0, 4, "fLaC", WEFT_MEDIA_OTHER, "a sound"},
};

/* ISO media files (ISO/IEC 14496-12): size, "ftyp", major brand, version, compatible brands. A HEIF picture may call itself
 * mif1 and say only among the others what codes it. */
static weft_media_format sniff_brands(const uint8_t *bytes, size_t size, const char **name) {
    static const struct {
        char brand[5];
        weft_media_format format;
    } brands[] = {{"avif", WEFT_MEDIA_AVIF}, {"avis", WEFT_MEDIA_AVIF}, {"heic", WEFT_MEDIA_HEIC}, {"heix", WEFT_MEDIA_HEIC},
                  {"heim", WEFT_MEDIA_HEIC}, {"heis", WEFT_MEDIA_HEIC}, {"hevc", WEFT_MEDIA_HEIC}, {"hevx", WEFT_MEDIA_HEIC}};
    size_t box = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
    if (box < size) size = box;
    for (size_t at = 8; at + 4 <= size; at += at == 8 ? 8 : 4)
        for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
            if (memcmp(bytes + at, brands[i].brand, 4) == 0) {
                *name = brands[i].format == WEFT_MEDIA_AVIF ? "an AVIF picture" : "a HEIC picture";
                return brands[i].format;
            }
    *name = size >= 12 && memcmp(bytes + 8, "mif1", 4) == 0 ? "a HEIF picture" : "a video";
    return size >= 12 && memcmp(bytes + 8, "mif1", 4) == 0 ? WEFT_MEDIA_HEIC : WEFT_MEDIA_OTHER;
}

weft_media_format weft_media_sniff(const void *data, size_t size, const char **name) {
    const uint8_t *bytes = data;
    if (size >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0) return sniff_brands(bytes, size, name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const known_format *k = &known[i];
        if (size < (size_t)k->at + k->length || memcmp(bytes + k->at, k->magic, k->length) != 0) continue;
        if (k->at == 8 && memcmp(bytes, "RIFF", 4) != 0) continue;
        *name = k->name;
        return k->format;
    }
    *name = "not a format that can be read";
    return WEFT_MEDIA_UNKNOWN;
}

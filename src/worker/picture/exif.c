/* The one number that weft wants of a picture's metadata: its orientation.
 *
 * Layout (EXIF 2.3, TIFF 6.0): "II*\0" or "MM\0*", u32 offset of the first directory; there u16 count, then entries of
 * 12 bytes: u16 tag, u16 type, u32 count, 4 bytes of value. Orientation is tag 0x0112, normally one SHORT. Everything
 * is read by offset with the range checked first; nothing is allocated, links to other directories are not followed. */
#include <string.h>

#include "worker/picture/picture.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

static unsigned read16(const uint8_t *p, bool big) {
    return big ? p[0] << 8 | p[1] : p[1] << 8 | p[0];
}
static uint32_t read32(const uint8_t *p, bool big) {
    return big ? (uint32_t)read16(p, big) << 16 | read16(p + 2, big)
               : (uint32_t)read16(p + 2, big) << 16 | read16(p, big);
}

static int entry_value(const uint8_t *entry, bool big) {
    if (read32(entry + 4, big) < 1) return 0;
    uint32_t value = 0;
    switch (read16(entry + 2, big)) {
    case TYPE_BYTE: value = entry[8]; break;
    case TYPE_SHORT: value = read16(entry + 8, big); break;
    case TYPE_LONG: value = read32(entry + 8, big); break;
    }
    /* A stated but impossible orientation counts as upright; it still keeps XMP from being asked. */
    return value >= 1 && value <= 8 ? (int)value : 1;
}

int weft_exif_orientation(const uint8_t *bytes, size_t size) {
    while (size >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0) {
        bytes += 6;
        size -= 6;
    }
    if (size < 8) return 0;
    bool big = bytes[0] == 'M';
    if (memcmp(bytes, big ? "MM\0*" : "II*\0", 4) != 0) return 0;
    uint32_t directory = read32(bytes + 4, big);
    if (directory > size || size - directory < 2) return 0;
    const uint8_t *entry = bytes + directory + 2;
    size_t room = (size - directory - 2) / ENTRY_BYTES, count = read16(bytes + directory, big);
    if (count > room) count = room;
    for (size_t i = 0; i < count; i++, entry += ENTRY_BYTES)
        if (read16(entry, big) == TAG_ORIENTATION) return entry_value(entry, big);
    return 0;
}

int weft_xmp_orientation(const uint8_t *bytes, size_t size) {
    static const char name[] = "tiff:Orientation";
    enum { NAME = sizeof name - 1 };
    const uint8_t *end = bytes + size;
    for (;;) {
        const uint8_t *hit = memmem(bytes, (size_t)(end - bytes), name, NAME);
        if (!hit) return 0;
        const uint8_t *value = hit + NAME;
        size_t left = (size_t)(end - value);
        size_t skip = left >= 3 && value[0] == '=' && value[1] == '"' ? 2 : left >= 2 && value[0] == '>' ? 1 : 0;
        if (skip && value[skip] >= '0' && value[skip] <= '9')
            return value[skip] >= '1' && value[skip] <= '8' ? value[skip] - '0' : 1;
        bytes = value;
    }
}

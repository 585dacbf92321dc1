/* Fonts inside the sandbox: see fonts.h.
 *
 * The C library's functions below are defined here for the whole program: Poppler, FreeType and fontconfig find these when they
 * are linked. They add one thing, names of mapped fonts; all else goes on to the kernel, where the sandbox decides. */
#include "worker/pdf/fonts.h"

#include <fontconfig/fontconfig.h>

#if defined(__linux__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FONTS_MAX = 4096, DESCRIPTOR = 1 << 28 /* of font 0; far from any that the kernel gives */ };
static const size_t bytes_max = (size_t)768 << 20; /* of all fonts: address space */

typedef struct font {
    char *path;
    const void *bytes;
    size_t size;
} font;

static font fonts[FONTS_MAX];
static int font_count;
static FILE *(*real_fopen)(const char *, const char *);

static const font *find_font(const char *path) {
    for (int i = 0; path && i < font_count; i++)
        if (strcmp(fonts[i].path, path) == 0) return &fonts[i];
    return NULL;
}

static const font *font_of(int file) { return file >= DESCRIPTOR && file - DESCRIPTOR < font_count ? &fonts[file - DESCRIPTOR] : NULL; }

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    const font *f = (flags & O_ACCMODE) == O_RDONLY ? find_font(path) : NULL;
    return f ? DESCRIPTOR + (int)(f - fonts) : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

FILE *fopen(const char *path, const char *mode) {
    const font *f = mode[0] == 'r' && !strchr(mode, '+') ? find_font(path) : NULL;
    if (f) return fmemopen((void *)f->bytes, f->size, "rb");
    if (!real_fopen) real_fopen = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
    return real_fopen ? real_fopen(path, mode) : NULL;
}

int close(int file) { return font_of(file) ? 0 : (int)syscall(SYS_close, file); }

int fcntl(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return font_of(file) ? 0 : (int)syscall(SYS_fcntl, file, command, argument);
}

int fstat(int file, struct stat *info) {
    const font *f = font_of(file);
    if (!f) return (int)syscall(SYS_newfstatat, file, "", info, AT_EMPTY_PATH);
    *info = (struct stat){.st_mode = S_IFREG | 0444, .st_size = (off_t)f->size, .st_nlink = 1};
    return 0;
}

/* A font is mapped as a copy: whoever maps it will unmap it. */
void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
    const font *f = font_of(file);
    if (!f) return (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
    if (offset < 0 || (size_t)offset > f->size || size > f->size - (size_t)offset || (protection & PROT_EXEC)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    void *copy = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
    if (copy != MAP_FAILED) memcpy(copy, (const char *)f->bytes + offset, size);
    return copy;
}

static void add_font(const char *path, size_t *total) {
    struct stat info;
    int file = font_count < FONTS_MAX && !find_font(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    if (fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0 && (size_t)info.st_size <= bytes_max - *total) {
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        char *name = strdup(path);
        if (bytes != MAP_FAILED && name) {
            fonts[font_count++] = (font){name, bytes, (size_t)info.st_size};
            *total += (size_t)info.st_size;
        }
    }
    close(file);
}
#else
static void add_font(const char *path, unsigned long *total) { (void)path, (void)total; }
#endif

void weft_pdf_fonts_load(void) {
    FcConfig *config = FcInitLoadConfigAndFonts();
    if (!config) return;
    FcConfigSetRescanInterval(config, 0); /* nothing could be read again */
    FcConfigSetCurrent(config);
    FcFontSet *set = FcConfigGetFonts(config, FcSetSystem);
    size_t total = 0;
    for (int i = 0; set && i < set->nfont; i++) {
        FcChar8 *path;
        if (FcPatternGetString(set->fonts[i], FC_FILE, 0, &path) == FcResultMatch) add_font((const char *)path, &total);
    }
}

/* The clip at hand, from its container to the frames that the published video processor would sample.
 *
 * First the container alone is read: it tells how many frames there are and when each is shown, which decides what to
 * keep. A few frames are decoded to see whether the decoder delivers what the container promises. When it does, a wanted frame
 * is reached by decoding from the key frame before it, and what lies between is skipped, by the container's index where that is
 * quicker; frames that nobody refers to are not decoded. When it does not, or the times are unusable, the clip is decoded from end to
 * end once to count its frames, and then again to take them.
 *
 * Owns one clip at a time. Memory: the packet list, the decoder's own, two frames; none of it grows with what is sampled.
 * Colours are converted by libswscale with bilinear chroma and the stream's own matrix and range, as PyAV does. */
#include "worker/clip/clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/cpu.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "worker/clip/container.h"
#include "worker/picture/picture.h"

enum {
    DECODE_ERRORS_MAX = 1000,
    TRIAL_PACKETS_MAX = 250, /* decoded to compare the decoder with the container */
    TRIAL_FRAMES = 12,
    SEEK_PACKETS_MIN = 48,   /* a shorter gap is read over: see docs/architecture.md */
    COUNTED_FRAMES_MAX = 8 << 20,
    ASPECT_MAX = 16,
    LEAD_MAX = 8,            /* key packets to go back over where keys are not whole pictures */
    FRUITLESS_MAX = 4,
    FRAMES_PER_TIME_MAX = 32, /* where only some frames have a time of their own */
};
static const double TIME_MAX = 1e17; /* in units of the stream */

typedef struct clip_state {
    bool open;
    weft_media_limits limits;
    weft_container container;
    weft_animation *animation; /* instead of a container */
    uint8_t *map;
    size_t map_size;

    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *scaler;
    int64_t width, height; /* of upright frames with square pixels */
    int square_width, square_height; /* the same before turning */

    bool by_time;          /* frames are told by their times, else by counting */
    int64_t total;         /* frames of the clip */
    double duration;       /* to the end of its last frame, seconds */
    int64_t *counted;      /* [total] times as the decoder tells them, when counting; NULL: it does not */
    int64_t *packet_of;    /* [total] the packet of each frame, when told by time */

    int64_t *wanted;       /* [wanted_count] frame numbers ascending */
    double *seconds;
    int64_t wanted_count, next;
    int64_t missing;       /* wanted frames that did not come */

    int64_t at;            /* packets read since the beginning */
    int64_t seen;          /* frames that came out of the decoder since the beginning */
    int64_t held;          /* number of the frame in `frame`, -1: none */
    int64_t errors;
    bool drained, ended;

    int64_t began;         /* the packet at which decoding last began anew */
    int lead, fruitless;   /* key packets before the last one to begin at; how often going back did not help */
} clip_state;
static clip_state clip;

void weft_clip_warm_up(void) {
    av_log_set_level(AV_LOG_QUIET);
    av_get_cpu_flags();
    const AVInputFormat *format;
    for (void *at = NULL; (format = av_demuxer_iterate(&at));) {}
    for (void *at = NULL; av_codec_iterate(&at);) {}
    sws_freeContext(sws_getContext(64, 64, AV_PIX_FMT_YUV420P, 64, 64, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL));
}

void weft_clip_close(void) {
    if (!clip.open) return;
    sws_freeContext(clip.scaler);
    avcodec_free_context(&clip.decoder);
    av_packet_free(&clip.packet);
    av_frame_free(&clip.frame);
    av_frame_free(&clip.rgb);
    weft_container_close(&clip.container);
    weft_animation_close(clip.animation);
    if (clip.map) munmap(clip.map, clip.map_size);
    free(clip.counted);
    free(clip.packet_of);
    free(clip.wanted);
    free(clip.seconds);
    clip = (clip_state){0};
}

/* ---- decoder ---------------------------------------------------------------------------------------------------- */

static weft_status open_decoder(weft_error *err) {
    avcodec_free_context(&clip.decoder);
    clip.decoder = avcodec_alloc_context3(clip.container.codec);
    if (!clip.decoder || avcodec_parameters_to_context(clip.decoder, clip.container.stream->codecpar) < 0)
        return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its decoder");
    clip.decoder->max_pixels = clip.limits.pixels_max;
    clip.decoder->pkt_timebase = clip.container.stream->time_base;
    clip.decoder->thread_count = 1; /* the sandbox has no threads */
    if (avcodec_open2(clip.decoder, clip.container.codec, NULL) < 0)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "video: the %s decoder refuses this stream", clip.container.codec->name);
    return WEFT_OK;
}

/* Back to the first packet with an empty decoder. */
static weft_status restart(weft_error *err) {
    WEFT_TRY(weft_container_rewind(&clip.container, err));
    clip.at = 0;
    clip.seen = 0;
    clip.held = -1;
    clip.errors = 0;
    clip.began = 0;
    clip.drained = clip.ended = false;
    return open_decoder(err);
}

static int64_t number_of_time(int64_t pts) {
    const weft_container *c = &clip.container;
    const int64_t *found = bsearch(&pts, c->times, (size_t)c->frame_count, sizeof pts, weft_compare_int64);
    return found ? found - c->times : -1;
}

/* Which frame of the clip `frame` is, -1: one that the container did not announce. */
static int64_t frame_number(void) {
    if (!clip.by_time) return clip.seen;
    return number_of_time(clip.frame->pts != AV_NOPTS_VALUE ? clip.frame->pts : clip.frame->best_effort_timestamp);
}

static bool is_wanted(int64_t number) {
    return number >= 0 && clip.wanted && bsearch(&number, clip.wanted, (size_t)clip.wanted_count, sizeof number, weft_compare_int64);
}

/* Frames of these that nobody refers to can be left out without changing another. (In HEVC the mark is only about a picture's own
 * layer.) */
static bool marks_unreferenced(enum AVCodecID codec) {
    return codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_MPEG4 || codec == AV_CODEC_ID_MPEG2VIDEO || codec == AV_CODEC_ID_MPEG1VIDEO;
}

static weft_status count_error(weft_error *err) {
    return ++clip.errors > DECODE_ERRORS_MAX ? weft_fail(err, WEFT_ERR_FORMAT, "video: too many damaged frames") : WEFT_OK;
}

/* Reads one packet of the stream and sends it; at the end of the file tells the decoder to give the rest. */
static weft_status feed(weft_error *err) {
    for (;;) {
        if (av_read_frame(clip.container.format, clip.packet) < 0) {
            clip.drained = true;
            avcodec_send_packet(clip.decoder, NULL);
            return WEFT_OK;
        }
        if (clip.packet->stream_index == clip.container.stream->index) break;
        av_packet_unref(clip.packet);
    }
    bool skip = clip.by_time && clip.wanted && marks_unreferenced(clip.decoder->codec_id) && clip.at < clip.container.packet_count &&
                !is_wanted(clip.container.packets[clip.at].rank);
    clip.decoder->skip_frame = skip ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
    clip.at++;
    int code = avcodec_send_packet(clip.decoder, clip.packet);
    av_packet_unref(clip.packet);
    return code < 0 && code != AVERROR(EAGAIN) ? count_error(err) : WEFT_OK;
}

/* The next frame of the decoder into clip.frame, its number into clip.held; clip.ended when there is none. */
static weft_status next_frame(weft_error *err) {
    clip.held = -1;
    for (;;) {
        int code = avcodec_receive_frame(clip.decoder, clip.frame);
        if (code == 0) {
            clip.held = frame_number();
            clip.seen++;
            return WEFT_OK;
        }
        if (code == AVERROR_EOF || (code == AVERROR(EAGAIN) && clip.drained)) {
            clip.ended = true;
            return WEFT_OK;
        }
        if (code != AVERROR(EAGAIN)) WEFT_TRY(count_error(err));
        WEFT_TRY(feed(err));
    }
}

/* ---- what the decoder delivers ---------------------------------------------------------------------------------- */

/* The size of frames with square pixels, before and after turning. */
static weft_status find_size(weft_error *err) {
    AVRational aspect = av_guess_sample_aspect_ratio(clip.container.format, clip.container.stream, clip.frame);
    double ratio = aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1;
    if (!(ratio >= 1.0 / ASPECT_MAX && ratio <= ASPECT_MAX)) ratio = 1;
    double width = clip.frame->width, height = clip.frame->height;
    if (ratio > 1) width = rint(width * ratio);
    if (ratio < 1) height = rint(height / ratio);
    WEFT_TRY(weft_media_check_size("video", (int64_t)width, (int64_t)height, &clip.limits, err));
    clip.square_width = (int)width;
    clip.square_height = (int)height;
    bool quarter = clip.container.turns >= 5;
    clip.width = quarter ? clip.square_height : clip.square_width;
    clip.height = quarter ? clip.square_width : clip.square_height;
    return WEFT_OK;
}

/* A recording that was cut may begin with frames that lean on what is not there: they are no part of the clip. */
static void drop_first_frames(int64_t count) {
    weft_container *c = &clip.container;
    memmove(c->times, c->times + count, (size_t)(c->frame_count - count) * sizeof *c->times);
    c->frame_count -= count;
    for (int64_t i = 0; i < c->packet_count; i++)
        if (c->packets[i].rank >= 0) c->packets[i].rank = c->packets[i].rank < count ? -1 : c->packets[i].rank - count;
}

/* Decodes the first frames: their size, and whether each comes at a time that the container names. */
static weft_status try_decoder(bool *agrees, weft_error *err) {
    WEFT_TRY(restart(err));
    int64_t frames = 0, first = 0, before = -1;
    clip.by_time = *agrees = clip.container.times != NULL;
    while (frames < TRIAL_FRAMES && clip.at < TRIAL_PACKETS_MAX) {
        WEFT_TRY(next_frame(err));
        if (clip.ended) break;
        if (frames++ == 0) WEFT_TRY(find_size(err));
        if (frames == 1) before = (first = clip.held) - 1;
        if (clip.held < 0 || clip.held != before + 1) *agrees = false; /* one too many, too few or out of order */
        before = clip.held;
        av_frame_unref(clip.frame);
    }
    if (frames == 0) return weft_fail(err, WEFT_ERR_FORMAT, "video: damaged: its first frames cannot be decoded");
    if (clip.ended && first + frames != clip.container.frame_count) *agrees = false;
    if (*agrees && first > 0) drop_first_frames(first);
    return WEFT_OK;
}

/* Frames without a time of their own (program streams stamp only some packets) are shown evenly between those that have one, and
 * at the clip's rate before the first and after the last. Too few have one: none is believed. */
static void fill_times(int64_t known) {
    AVRational unit = clip.container.stream->time_base;
    double frame = (double)unit.den / unit.num / clip.container.fps; /* its length in units of the stream */
    int64_t before = -1;
    if (known * FRAMES_PER_TIME_MAX < clip.total || !(frame * (double)clip.total < TIME_MAX)) { /* no sum below leaves 64 bits */
        free(clip.counted);
        clip.counted = NULL;
        return;
    }
    for (int64_t i = 0; i < clip.total; i++) {
        if (clip.counted[i] == AV_NOPTS_VALUE) continue;
        double step = before < 0 ? frame : (double)(clip.counted[i] - clip.counted[before]) / (double)(i - before);
        for (int64_t k = before + 1; k < i; k++) clip.counted[k] = clip.counted[i] - llrint(step * (double)(i - k));
        before = i;
    }
    for (int64_t k = before + 1; k < clip.total; k++) clip.counted[k] = clip.counted[before] + llrint(frame * (double)(k - before));
}

/* Decodes everything once; the decoder's own times are kept where they ascend. */
static weft_status count_frames(weft_error *err) {
    int64_t room = 0, count = 0, known = 0, last = INT64_MIN;
    clip.by_time = false;
    WEFT_TRY(restart(err));
    for (;;) {
        WEFT_TRY(next_frame(err));
        if (clip.ended) break;
        if (count >= COUNTED_FRAMES_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "video: over %d frames", COUNTED_FRAMES_MAX);
        if (count == room) {
            room = room ? 2 * room : 1024;
            int64_t *more = realloc(clip.counted, (size_t)room * sizeof *more);
            if (!more) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its times");
            clip.counted = more;
        }
        int64_t time = clip.frame->best_effort_timestamp;
        bool ascends = time != AV_NOPTS_VALUE && time > last && llabs(time) < INT64_MAX / 4;
        clip.counted[count++] = ascends ? time : AV_NOPTS_VALUE;
        if (ascends) last = time;
        known += ascends;
        av_frame_unref(clip.frame);
    }
    clip.total = count;
    if (count == 0) return weft_fail(err, WEFT_ERR_FORMAT, "video: damaged: none of its frames can be decoded");
    fill_times(known);
    return WEFT_OK;
}

static weft_status list_packets_of_frames(weft_error *err) {
    const weft_container *c = &clip.container;
    clip.total = c->frame_count;
    clip.packet_of = calloc((size_t)c->frame_count, sizeof *clip.packet_of);
    if (!clip.packet_of) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its frame list");
    for (int64_t i = 0; i < c->packet_count; i++)
        if (c->packets[i].rank >= 0) clip.packet_of[c->packets[i].rank] = i;
    return WEFT_OK;
}

static double frame_seconds(int64_t number) {
    if (clip.animation) return weft_animation_seconds(clip.animation, number);
    if (clip.by_time) return weft_container_seconds(&clip.container, clip.container.times[number]);
    if (clip.counted) return weft_container_seconds(&clip.container, clip.counted[number]);
    return (double)number / clip.container.fps;
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

static bool is_webp(int fd) {
    char head[16];
    const char *name;
    return pread(fd, head, sizeof head, 0) == sizeof head && weft_media_sniff(head, sizeof head, &name) == WEFT_MEDIA_WEBP;
}

static weft_status open_animation(int fd, weft_clip_facts *facts, weft_error *err) {
    struct stat info;
    clip.container.fd = fd;
    if (fstat(fd, &info) != 0 || info.st_size > clip.limits.bytes_max) return weft_fail(err, WEFT_ERR_LIMIT, "WebP: over %lld bytes", (long long)clip.limits.bytes_max);
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return weft_fail(err, WEFT_ERR_MEMORY, "WebP: no memory for its bytes");
    clip.map = map;
    clip.map_size = (size_t)info.st_size;
    WEFT_TRY(weft_animation_open(clip.map, clip.map_size, &clip.limits, &clip.animation, err));
    weft_animation_size(clip.animation, &clip.width, &clip.height);
    clip.total = weft_animation_frames(clip.animation);
    facts->duration = weft_animation_seconds(clip.animation, clip.total);
    facts->fps = facts->duration > 0 ? (double)clip.total / facts->duration : 24;
    clip.container.fps = facts->fps;
    return WEFT_OK;
}

static weft_status open_clip(int fd, weft_clip_facts *facts, weft_error *err) {
    clip.packet = av_packet_alloc();
    clip.frame = av_frame_alloc();
    clip.rgb = av_frame_alloc();
    bool agrees = false;
    WEFT_TRY(weft_container_open(&clip.container, fd, &clip.limits, err));
    if (!clip.packet || !clip.frame || !clip.rgb) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its decoder");
    WEFT_TRY(try_decoder(&agrees, err));
    if (agrees)
        WEFT_TRY(list_packets_of_frames(err));
    else
        WEFT_TRY(count_frames(err)); /* sets by_time to false */
    facts->fps = clip.container.fps;
    facts->duration = frame_seconds(clip.total - 1) + 1 / facts->fps;
    return WEFT_OK;
}

weft_status weft_clip_open(int fd, const weft_media_limits *limits, weft_clip_facts *facts, weft_error *err) {
    weft_clip_close();
    clip.open = true;
    clip.limits = *limits;
    clip.held = -1;
    clip.container.fd = -1;
    weft_status status = is_webp(fd) ? open_animation(fd, facts, err) : open_clip(fd, facts, err);
    if (status != WEFT_OK) {
        weft_clip_close();
        return status;
    }
    if (!(facts->duration >= 0)) facts->duration = 0;
    clip.duration = facts->duration;
    facts->width = clip.width;
    facts->height = clip.height;
    facts->total = clip.total;
    return WEFT_OK;
}

/* ---- choosing --------------------------------------------------------------------------------------------------- */

/* The frames whose time is within [start_seconds, end_seconds). Where none begins there (a recording of a still screen has a frame only
 * when something moves), the one that is on the screen at start_seconds; before the first frame, that one, as players do. */
static weft_status find_part(const weft_video_sampling *sampling, int64_t *first, int64_t *count, weft_error *err) {
    double start = sampling->start_seconds, end = sampling->end_seconds;
    if (!(start >= 0) || !(end >= 0) || (end > 0 && end <= start))
        return weft_fail(err, WEFT_ERR_INVALID, "video: from %g to %g seconds is not a part of it", start, end);
    if (start > 0 && start >= clip.duration)
        return weft_fail(err, WEFT_ERR_INVALID, "video: no frame from second %g on; it is %.1f seconds long", start, clip.duration);
    int64_t low = 0, high = clip.total;
    while (start > 0 && low < high && frame_seconds(low) < start) low++;
    while (end > 0 && high > low && frame_seconds(high - 1) >= end) high--;
    if (low == high) {
        low = low > 0 ? low - 1 : 0;
        high = low + 1;
    }
    *first = low;
    *count = high - low;
    return WEFT_OK;
}

weft_status weft_clip_sample(const weft_video_sampling *asked, int64_t *frames, const double **seconds, weft_error *err) {
    if (!clip.open) return weft_fail(err, WEFT_ERR_INTERNAL, "video: none is open");
    weft_video_sampling sampling = *asked;
    if (!(sampling.fps > 0)) sampling.fps = 2;
    int64_t first = 0, count = 0;
    WEFT_TRY(find_part(&sampling, &first, &count, err));
    int64_t *wanted = malloc((size_t)sampling.max_frames * sizeof *wanted);
    double *times = malloc((size_t)sampling.max_frames * sizeof *times);
    if (!wanted || !times) {
        free(wanted);
        free(times);
        return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its frame list");
    }
    free(clip.wanted);
    free(clip.seconds);
    clip.wanted = wanted;
    clip.seconds = times;
    clip.wanted_count = weft_video_sample_indices(count, clip.container.fps, &sampling, wanted);
    bool alone = count == 1 || sampling.start_seconds > 0 || sampling.end_seconds > 0;
    if (alone && clip.wanted_count == 1 && sampling.max_frames > 1) wanted[clip.wanted_count++] = wanted[0]; /* a pair, as the processor pads */
    for (int64_t i = 0; i < clip.wanted_count; i++) times[i] = frame_seconds(wanted[i] += first);
    clip.next = 0;
    clip.missing = 0;
    *frames = clip.wanted_count;
    *seconds = times;
    return clip.animation ? WEFT_OK : restart(err);
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

/* The key packet from which frame `number` can be decoded: the last one before it that is not shown after it, or `lead` before that. */
static int64_t start_of(int64_t number, int lead) {
    const weft_packet *packets = clip.container.packets;
    for (int64_t i = clip.packet_of[number]; i > 0; i--)
        if (packets[i].key && packets[i].rank >= 0 && packets[i].rank <= number && lead-- == 0) return i;
    return 0;
}

/* Reads on until the next packet will be `start`. */
static weft_status read_to(int64_t start, weft_error *err) {
    while (clip.at < start) {
        if (av_read_frame(clip.container.format, clip.packet) < 0) return weft_fail(err, WEFT_ERR_FORMAT, "video: it ends before its packet %lld", (long long)start);
        if (clip.packet->stream_index == clip.container.stream->index) clip.at++;
        av_packet_unref(clip.packet);
    }
    return WEFT_OK;
}

/* By the container's index to packet `start`. What arrives is compared with the list, since indexes lie. */
static bool seek_to(int64_t start) {
    if (!weft_container_seek(&clip.container, start)) return false;
    int64_t found = -1;
    for (int tries = 0; tries < 1000 && found < 0; tries++) {
        if (av_read_frame(clip.container.format, clip.packet) < 0) return false;
        if (clip.packet->stream_index == clip.container.stream->index) {
            found = weft_container_find(&clip.container, clip.packet, start > 2000 ? start - 2000 : 0);
            if (found < 0 || found > start) break;
        }
        if (found < 0 || found < start) av_packet_unref(clip.packet);
    }
    if (found < 0 || found > start) {
        av_packet_unref(clip.packet);
        return false;
    }
    clip.at = found + 1;
    if (found < start) return read_to(start, NULL) == WEFT_OK;
    avcodec_flush_buffers(clip.decoder); /* the packet is here already: it is sent as feed() would */
    clip.decoder->skip_frame = AVDISCARD_DEFAULT;
    avcodec_send_packet(clip.decoder, clip.packet);
    av_packet_unref(clip.packet);
    return true;
}

/* The next packet that the decoder, emptied, gets is `start`. */
static weft_status begin_at(int64_t start, weft_error *err) {
    clip.ended = clip.drained = false;
    clip.held = -1;
    av_frame_unref(clip.frame);
    if (start < clip.at || start - clip.at >= SEEK_PACKETS_MIN) {
        bool found = start > 0 && seek_to(start);
        if (found && clip.at == start) avcodec_flush_buffers(clip.decoder);
        if (!found) WEFT_TRY(restart(err));
        clip.began = start;
        if (found) return WEFT_OK;
    }
    clip.began = start;
    avcodec_flush_buffers(clip.decoder);
    return read_to(start, err);
}

/* Skips what is not needed for frame `number`, if anything. */
static weft_status approach(int64_t number, weft_error *err) {
    if (!clip.by_time || clip.packet_of[number] < clip.at) return WEFT_OK;
    int64_t start = start_of(number, clip.lead);
    return start > clip.at ? begin_at(start, err) : WEFT_OK;
}

static weft_status decode_to(int64_t number, weft_error *err) {
    while (clip.held < number && !clip.ended) {
        av_frame_unref(clip.frame);
        WEFT_TRY(next_frame(err));
    }
    return WEFT_OK;
}

/* Where parts of every picture are renewed in turn (intra refresh), a key packet begins what is whole some frames later only, and
 * the decoder keeps the frames until then to itself: decoding begins at an earlier key packet, from now on. */
static weft_status decode_from_earlier(int64_t number, weft_error *err) {
    int64_t start = clip.began;
    int lead = clip.lead;
    if (!clip.by_time || clip.fruitless >= FRUITLESS_MAX) return WEFT_OK;
    while (clip.held != number && start > 0 && clip.lead < LEAD_MAX) {
        int64_t before = start;
        while (start >= before && clip.lead < LEAD_MAX) start = start_of(number, ++clip.lead);
        if (start >= before) break;
        WEFT_TRY(begin_at(start, err));
        WEFT_TRY(decode_to(number, err));
    }
    if (clip.held == number) return WEFT_OK;
    clip.lead = lead;
    clip.fruitless++;
    return WEFT_OK;
}

static weft_status convert(weft_error *err) {
    const AVFrame *frame = clip.frame;
    const AVPixFmtDescriptor *kind = av_pix_fmt_desc_get(frame->format);
    bool alpha = kind && (kind->flags & AV_PIX_FMT_FLAG_ALPHA);
    enum AVPixelFormat target = alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    WEFT_TRY(weft_media_check_size("video", frame->width, frame->height, &clip.limits, err));
    if (!clip.rgb->data[0] || clip.rgb->format != target) { /* all frames take the first one's size */
        av_frame_unref(clip.rgb);
        clip.rgb->format = target;
        clip.rgb->width = clip.square_width;
        clip.rgb->height = clip.square_height;
        if (av_frame_get_buffer(clip.rgb, 0) < 0) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for a frame");
    }
    clip.scaler = sws_getCachedContext(clip.scaler, frame->width, frame->height, frame->format, clip.square_width, clip.square_height, target,
                                       SWS_BILINEAR, NULL, NULL, NULL);
    if (!clip.scaler) return weft_fail(err, WEFT_ERR_UNSUPPORTED, "video: a pixel format that cannot be converted");
    int matrix = frame->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : (int)frame->colorspace;
    const int *coefficients = sws_getCoefficients(matrix);
    sws_setColorspaceDetails(clip.scaler, coefficients, frame->color_range == AVCOL_RANGE_JPEG, coefficients, 1, 0, 1 << 16, 1 << 16);
    if (sws_scale(clip.scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, clip.rgb->data, clip.rgb->linesize) !=
        clip.square_height)
        return weft_fail(err, WEFT_ERR_FORMAT, "video: a frame cannot be converted");
    return WEFT_OK;
}

/* The frame at hand, upright, to the caller's memory. */
static weft_status write_frame(uint8_t *rgb, weft_error *err) {
    WEFT_TRY(convert(err));
    int64_t width = clip.square_width, height = clip.square_height;
    uint8_t *flat = clip.container.turns > 1 ? malloc((size_t)width * (size_t)height * 3) : rgb;
    if (!flat) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for a frame");
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *row = clip.rgb->data[0] + y * clip.rgb->linesize[0];
        if (clip.rgb->format == AV_PIX_FMT_RGBA)
            weft_compose_on_white(flat + y * width * 3, row, width);
        else
            memcpy(flat + y * width * 3, row, (size_t)width * 3);
    }
    if (flat != rgb) {
        weft_pixels_turn(rgb, flat, width, height, clip.container.turns);
        free(flat);
    }
    return WEFT_OK;
}

/* A frame that did not come is shown by its neighbour; many of them are an error. */
static weft_status stand_in(weft_error *err) {
    clip.missing++;
    if (clip.missing * 10 <= clip.wanted_count + 10 && (clip.next > 0 || clip.held >= 0)) return WEFT_OK;
    return weft_fail(err, WEFT_ERR_FORMAT, "video: damaged: %lld of the first %lld sampled frames cannot be decoded", (long long)clip.missing,
                     (long long)clip.next + 1);
}

weft_status weft_clip_frame(uint8_t *rgb, int64_t *index, weft_error *err) {
    if (!clip.open || clip.next >= clip.wanted_count) return weft_fail(err, WEFT_ERR_INTERNAL, "video: no frame is left");
    int64_t number = clip.wanted[clip.next];
    if (clip.animation) {
        WEFT_TRY(weft_animation_frame(clip.animation, number, rgb, err));
        *index = clip.next++;
        return WEFT_OK;
    }
    if (clip.held < number) WEFT_TRY(approach(number, err));
    WEFT_TRY(decode_to(number, err));
    if (clip.held != number) WEFT_TRY(decode_from_earlier(number, err));
    if (clip.held != number) WEFT_TRY(stand_in(err));
    if (clip.held >= 0) WEFT_TRY(write_frame(rgb, err)); /* else the memory still shows the frame before */
    *index = clip.next++;
    return WEFT_OK;
}

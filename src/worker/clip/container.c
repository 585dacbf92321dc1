/* The container of a clip, read through libavformat from a descriptor.
 *
 * Owns the descriptor, the format context and the packet list (48 bytes a packet, at most PACKETS_MAX); the file itself
 * is never in memory as a whole. Hostile files: only the containers named below are tried, nothing outside
 * the given bytes can be opened (playlists and external references are refused), the size is checked against the limits
 * before a decoder exists. */
#include "worker/clip/container.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IO_BUFFER_BYTES = 64 << 10, PACKETS_MAX = 8 << 20, FIND_PACKETS_MAX = 4096 };

/* Containers as libavformat calls them; what a phone, a camera, a screen recorder or a web site writes. */
static const char CONTAINERS[] = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,ivf,h264,hevc,"
                                 "mpegvideo,m4v,yuv4mpegpipe,mjpeg,apng";

/* Every decoder of the library that works in memory alone; NULL: none. */
static const AVCodec *find_decoder(enum AVCodecID id) {
    const AVCodec *codec = avcodec_find_decoder(id);
    int refused = AV_CODEC_CAP_HARDWARE | AV_CODEC_CAP_HYBRID | AV_CODEC_CAP_EXPERIMENTAL;
    return codec && codec->type == AVMEDIA_TYPE_VIDEO && !(codec->capabilities & refused) ? codec : NULL;
}

static weft_status libav_fail(weft_error *err, const char *what, int code) {
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    if (code == AVERROR(ENOMEM)) /* a worker has enough for any true clip */
        return weft_fail(err, WEFT_ERR_LIMIT,
                         "video: %s: damaged or hostile: its tables ask for more memory than a decoder gets", what);
    if (code == AVERROR_EOF)
        return weft_fail(err, WEFT_ERR_FORMAT, "video: %s: truncated: the file ends before its first frame", what);
    av_strerror(code, text, sizeof text);
    return weft_fail(err, WEFT_ERR_FORMAT, "video: %s: %s", what, text);
}

/* ---- bytes of the file ------------------------------------------------------------------------------------------ */

static int on_read(void *opaque, uint8_t *buffer, int wanted) {
    weft_container *clip = opaque;
    ssize_t count;
    if (clip->hollow) {
        if (wanted < 1 || clip->at >= clip->size) return AVERROR_EOF;
        if (wanted > clip->size - clip->at) wanted = (int)(clip->size - clip->at);
        clip->at += wanted;
        return wanted;
    }
    do count = pread(clip->fd, buffer, wanted > 0 ? (size_t)wanted : 0, clip->at);
    while (count < 0 && errno == EINTR);
    if (count <= 0) return AVERROR_EOF;
    clip->at += count;
    return (int)count;
}

static int64_t on_seek(void *opaque, int64_t offset, int whence) {
    weft_container *clip = opaque;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return clip->size;
    int64_t base = whence == SEEK_CUR ? clip->at : whence == SEEK_END ? clip->size : 0;
    if (offset < -base || offset > clip->size - base) return AVERROR(EINVAL);
    return clip->at = base + offset;
}

/* A container that wants a second file does not get one. */
static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags, AVDictionary **options) {
    (void)format, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* Says what it is instead, where its first bytes tell. */
static weft_status refuse_container(const weft_container *clip, weft_error *err) {
    uint8_t head[64];
    ssize_t size = pread(clip->fd, head, sizeof head, 0);
    const char *name = "";
    bool known = size > 0 && weft_media_sniff(head, (size_t)size, &name) != WEFT_MEDIA_UNKNOWN && !strstr(name, "video");
    return weft_fail(err, WEFT_ERR_UNSUPPORTED,
                     "video: %s%snot a container that can be read, or damaged: send MP4, WebM, Matroska, AVI, MPEG or GIF",
                     known ? name : "", known ? ", " : "");
}

/* `parses`: finds out about the streams by reading some of them; else by the header alone. */
static weft_status open_container(weft_container *clip, bool parses, weft_error *err) {
    unsigned char *buffer = av_malloc(IO_BUFFER_BYTES);
    clip->io = buffer ? avio_alloc_context(buffer, IO_BUFFER_BYTES, 0, clip, on_read, NULL, on_seek) : NULL;
    if (!clip->io) av_free(buffer);
    clip->format = clip->io ? avformat_alloc_context() : NULL;
    if (!clip->format) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its reader");
    clip->format->pb = clip->io;
    clip->format->io_open = refuse_open;
    clip->format->flags |= AVFMT_FLAG_CUSTOM_IO | (parses ? 0 : AVFMT_FLAG_NOPARSE);
    clip->format->max_streams = 64;
    clip->format->format_whitelist = av_strdup(CONTAINERS);
    clip->format->protocol_whitelist = av_strdup("none");
    int code = avformat_open_input(&clip->format, NULL, NULL, NULL); /* frees and clears the context on failure */
    /* EINVAL: recognised, but none of CONTAINERS, or impossible; EBUSY: the same after libav has added 6 to it (y4m) */
    if (code == AVERROR_INVALIDDATA || code == AVERROR(EINVAL) || code == AVERROR(EBUSY))
        return refuse_container(clip, err);
    if (code < 0) return libav_fail(err, "cannot open", code);
    if (!parses) return WEFT_OK;
    code = avformat_find_stream_info(clip->format, NULL);
    return code < 0 ? libav_fail(err, "cannot read its streams", code) : WEFT_OK;
}

static void ignore_other_streams(weft_container *clip) {
    for (unsigned i = 0; i < clip->format->nb_streams; i++)
        if ((int)i != clip->stream->index) clip->format->streams[i]->discard = AVDISCARD_ALL;
}

static weft_status find_stream(weft_container *clip, const weft_media_limits *limits, weft_error *err) {
    int index = av_find_best_stream(clip->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (index < 0) return weft_fail(err, WEFT_ERR_FORMAT, "video: the file holds no video stream");
    clip->stream = clip->format->streams[index];
    if (clip->stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
        return weft_fail(err, WEFT_ERR_FORMAT, "video: the file holds no video stream, only sound and its cover");
    const AVCodecParameters *codec = clip->stream->codecpar;
    clip->codec = find_decoder(codec->codec_id);
    if (!clip->codec)
        return weft_fail(err, WEFT_ERR_UNSUPPORTED, "video: no decoder for %s: send H.264, H.265, VP9 or AV1",
                         avcodec_get_name(codec->codec_id));
    if (codec->width < 1 || codec->height < 1) /* what the library takes for impossible, it says nothing about */
        return weft_fail(err, WEFT_ERR_LIMIT,
                         "video: the size of its frames is missing or over the limit of %lld pixels and %lld a side",
                         (long long)limits->pixels_max, (long long)limits->side_max);
    if (codec->width > limits->side_max || codec->height > limits->side_max ||
        codec->width > limits->pixels_max / codec->height)
        return weft_fail(err, WEFT_ERR_LIMIT,
                         "video: frames of %d x %d pixels: the limit is %lld pixels and %lld a side", codec->width,
                         codec->height, (long long)limits->pixels_max, (long long)limits->side_max);
    double seconds = clip->format->duration > 0 ? (double)clip->format->duration / AV_TIME_BASE : 0;
    if (seconds > limits->video_seconds_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "video: %.0f seconds long, the limit is %.0f", seconds,
                         limits->video_seconds_max);
    ignore_other_streams(clip);
    AVRational unit = clip->stream->time_base;
    return unit.num > 0 && unit.den > 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_FORMAT, "video: its clock has no unit");
}

/* Quarter turns and mirrors, what phones store, from the display matrix (ISO/IEC 14496-12, 6.2.2): the upright point is
 * (a x + c y, b x + d y). */
static int find_turns(const AVStream *stream) {
#if LIBAVFORMAT_VERSION_MAJOR >= 61
    const AVPacketSideData *side = av_packet_side_data_get(
        stream->codecpar->coded_side_data, stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    const uint8_t *matrix = side && side->size >= 36 ? side->data : NULL;
#else
    const uint8_t *matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
#endif
    if (!matrix) return 1;
    int32_t m[5];
    memcpy(m, matrix, sizeof m);
    int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c)) return a >= 0 ? (d >= 0 ? 1 : 4) : d >= 0 ? 2 : 3;
    return b >= 0 ? (c >= 0 ? 5 : 6) : c >= 0 ? 8 : 7;
}

static void close_format(weft_container *clip) {
    avformat_close_input(&clip->format);
    if (clip->io) av_freep(&clip->io->buffer);
    avio_context_free(&clip->io);
}

/* Opening anew is the one way back to the first packet that every container knows. */
static weft_status reopen(weft_container *clip, bool parses, weft_error *err) {
    int index = clip->stream->index;
    close_format(clip);
    clip->stream = NULL;
    clip->at = 0;
    WEFT_TRY(open_container(clip, parses, err));
    if (index >= (int)clip->format->nb_streams) return weft_fail(err, WEFT_ERR_FORMAT, "video: its streams change");
    clip->stream = clip->format->streams[index];
    ignore_other_streams(clip);
    return WEFT_OK;
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

static bool is_mov(const weft_container *clip) { return strncmp(clip->format->iformat->name, "mov", 3) == 0; }

static weft_status add_packet(weft_container *clip, const AVPacket *packet, int64_t *capacity, weft_error *err) {
    if ((packet->flags & AV_PKT_FLAG_CORRUPT) && is_mov(clip)) return WEFT_OK; /* the file, still being written, ends inside it */
    if (clip->packet_count >= PACKETS_MAX) return weft_fail(err, WEFT_ERR_LIMIT, "video: over %d packets", PACKETS_MAX);
    if (clip->packet_count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 1024;
        weft_packet *more = realloc(clip->packets, (size_t)*capacity * sizeof *more);
        if (!more) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its packet list");
        clip->packets = more;
    }
    bool shown = !(packet->flags & AV_PKT_FLAG_DISCARD);
    clip->packets[clip->packet_count++] = (weft_packet){.pts = packet->pts,
                                                        .dts = packet->dts,
                                                        .place = packet->pos,
                                                        .rank = -1,
                                                        .key = packet->flags & AV_PKT_FLAG_KEY,
                                                        .shown = shown};
    clip->frame_count += shown;
    return WEFT_OK;
}

/* The packets to the end of the file; the first `hollow` without their bytes. */
static weft_status read_packets(weft_container *clip, int64_t hollow, weft_error *err) {
    AVPacket *packet = av_packet_alloc();
    if (!packet) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for a packet");
    int64_t capacity = 0;
    weft_status status = WEFT_OK;
    free(clip->packets);
    clip->packets = NULL;
    clip->packet_count = clip->frame_count = 0;
    clip->hollow = hollow > 0;
    while (status == WEFT_OK && av_read_frame(clip->format, packet) >= 0) {
        if (packet->stream_index == clip->stream->index) status = add_packet(clip, packet, &capacity, err);
        av_packet_unref(packet);
        if (clip->packet_count >= hollow) clip->hollow = false;
    }
    clip->hollow = false;
    av_packet_free(&packet);
    return status;
}

/* How many packets the header names by time, place and size; 0: it does not, or something must look into them to tell. */
static int64_t packets_in_header(const weft_container *clip) {
    enum AVCodecID codec = clip->stream->codecpar->codec_id;
    return is_mov(clip) && (codec == AV_CODEC_ID_H264 || codec == AV_CODEC_ID_HEVC) ? avformat_index_get_entries_count(clip->stream) : 0;
}

static weft_status list_packets(weft_container *clip, weft_error *err) {
    bool named = packets_in_header(clip) > 0;
    if (named) { /* gigabytes take no longer than the header then; what follows its packets (fragments) is read */
        WEFT_TRY(reopen(clip, false, err));
        int64_t count = packets_in_header(clip);
        WEFT_TRY(read_packets(clip, count, err));
        named = clip->packet_count >= count;
        if (!named) WEFT_TRY(reopen(clip, true, err));
    }
    if (!named) WEFT_TRY(read_packets(clip, 0, err));
    return clip->frame_count > 0 ? WEFT_OK : weft_fail(err, WEFT_ERR_FORMAT, "video: it holds no frames");
}

/* An MP4 names every frame in its index, so one that was cut off can be told from a short one. */
static weft_status check_whole(const weft_container *clip, weft_error *err) {
    int64_t listed = clip->stream->nb_frames;
    if (!is_mov(clip) || clip->packet_count >= listed - listed / 100)
        return WEFT_OK;
    return weft_fail(err, WEFT_ERR_FORMAT, "video: truncated: its index lists %lld frames, the file holds %lld",
                     (long long)listed, (long long)clip->packet_count);
}

int weft_compare_int64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t rank_of(const weft_container *clip, int64_t pts) {
    int64_t *found = bsearch(&pts, clip->times, (size_t)clip->frame_count, sizeof pts, weft_compare_int64);
    return found ? found - clip->times : -1;
}

/* Sorts the presentation times. Unusable (some missing, or two alike): times stays NULL, frames are told by counting.
 */
static weft_status sort_times(weft_container *clip, weft_error *err) {
    int64_t *times = malloc((size_t)clip->frame_count * sizeof *times), count = 0;
    if (!times) return weft_fail(err, WEFT_ERR_MEMORY, "video: no memory for its times");
    for (int64_t i = 0; i < clip->packet_count; i++)
        if (clip->packets[i].shown && clip->packets[i].pts != AV_NOPTS_VALUE) times[count++] = clip->packets[i].pts;
    bool usable = count == clip->frame_count;
    qsort(times, (size_t)count, sizeof *times, weft_compare_int64);
    for (int64_t i = 1; i < count; i++) usable = usable && times[i] != times[i - 1];
    if (!usable) {
        free(times);
        return WEFT_OK;
    }
    clip->times = times;
    for (int64_t i = 0; i < clip->packet_count; i++)
        if (clip->packets[i].shown) clip->packets[i].rank = rank_of(clip, clip->packets[i].pts);
    return WEFT_OK;
}

double weft_container_seconds(const weft_container *clip, int64_t time) {
    AVRational unit = clip->stream->time_base;
    return ((double)time - (double)clip->origin) * unit.num / unit.den;
}

/* Presentation times are the container's, as ffprobe shows them. A transport or program stream whose clock starts later
 * than this was cut from a longer one or recorded from a station that counts since some other day: it counts from the
 * start of the file, as players show it. (A writer of whole streams begins about a second after zero.) */
#define CLOCK_START_SECONDS_MAX 60

static void find_origin(weft_container *clip) {
    const char *name = clip->format->iformat->name;
    bool anywhere = strcmp(name, "mpegts") == 0 || strcmp(name, "mpeg") == 0;
    int64_t start = clip->format->start_time;
    if (anywhere && start != AV_NOPTS_VALUE && (start < 0 || start > CLOCK_START_SECONDS_MAX * (int64_t)AV_TIME_BASE))
        clip->origin = av_rescale_q(start, AV_TIME_BASE_Q, clip->stream->time_base);
}

static void find_rate(weft_container *clip) {
    clip->fps = av_q2d(clip->stream->avg_frame_rate.den ? clip->stream->avg_frame_rate : (AVRational){0, 1});
    if (!(clip->fps > 0) && clip->stream->r_frame_rate.den) clip->fps = av_q2d(clip->stream->r_frame_rate);
}

/* When the container does not say. */
static void find_rate_by_times(weft_container *clip) {
    if (!(clip->fps > 0) && clip->times && clip->frame_count > 1)
        clip->fps =
            (double)(clip->frame_count - 1) / (weft_container_seconds(clip, clip->times[clip->frame_count - 1]) -
                                               weft_container_seconds(clip, clip->times[0]));
    if (!(clip->fps > 0) || clip->fps > 1e6) clip->fps = 24; /* the published processor's assumption */
}

weft_status weft_container_open(weft_container *clip, int fd, const weft_media_limits *limits, weft_error *err) {
    struct stat info;
    *clip = (weft_container){.fd = fd};
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 1)
        return weft_fail(err, WEFT_ERR_FORMAT, "the video is empty (0 bytes)");
    clip->size = info.st_size;
    WEFT_TRY(open_container(clip, true, err));
    WEFT_TRY(find_stream(clip, limits, err));
    find_origin(clip);
    find_rate(clip);
    clip->turns = find_turns(clip->stream);
    WEFT_TRY(list_packets(clip, err));
    WEFT_TRY(check_whole(clip, err));
    WEFT_TRY(sort_times(clip, err));
    find_rate_by_times(clip);
    return WEFT_OK;
}

weft_status weft_container_rewind(weft_container *clip, weft_error *err) {
    return reopen(clip, true, err);
}

bool weft_container_seek(weft_container *clip, int64_t index) {
    const weft_packet *packet = &clip->packets[index];
    int64_t time = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
    return time != AV_NOPTS_VALUE && av_seek_frame(clip->format, clip->stream->index, time, AVSEEK_FLAG_BACKWARD) >= 0;
}

int64_t weft_container_find(const weft_container *clip, const AVPacket *packet, int64_t expected) {
    for (int64_t i = expected; i < clip->packet_count && i < expected + FIND_PACKETS_MAX; i++) {
        const weft_packet *p = &clip->packets[i];
        if (p->pts == packet->pts && p->dts == packet->dts && p->place == packet->pos) return i;
    }
    return -1;
}

void weft_container_close(weft_container *clip) {
    close_format(clip);
    if (clip->fd >= 0) close(clip->fd);
    free(clip->packets);
    free(clip->times);
    *clip = (weft_container){.fd = -1};
}

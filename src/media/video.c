/* A clip in memory to the frames that the published video processor would sample, with their presentation times.
 *
 * First the container alone is read: it tells how many frames there are and when each is shown, which decides what to
 * keep. Then only the groups of pictures that hold a wanted frame are decoded. A clip whose times are unusable, or
 * whose decoder does not deliver what the container promised, is decoded from end to end and its frames counted
 * instead.
 *
 * Memory: the sampled frames (their total is limited), the decoder's own, one frame in RGB. Colours are converted by
 * libswscale with bilinear chroma and the stream's own matrix and range, as PyAV does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>

#include "base/threads.h"
#include "media/video_clip.h"

enum { DECODER_THREADS_MAX = 16, DECODE_ERRORS_MAX = 1000 };

void weft_video_free(weft_video *video) {
    for (int64_t i = 0; video->rgb && i < video->frames; i++) free(video->rgb[i]);
    free(video->rgb);
    free(video->seconds);
    *video = (weft_video){0};
}

typedef struct video_job {
    weft_clip clip;
    const weft_video_sampling *sampling;
    const weft_media_limits *limits;
    weft_video *video;
    weft_error *err;
    int64_t first, total; /* the part of the clip that was asked for: frames [first, first + total) */
    int64_t *wanted;      /* [video->frames] frame numbers in the whole clip, ascending */
    int64_t filled;       /* of video->frames */
    bool *needed;         /* [packet_count] to be decoded */
    bool by_time;         /* frames are told by their times, else by counting */
    int64_t seen;         /* frames that came out of the decoder */
    int64_t errors;       /* packets and frames that it refused */
    AVCodecContext *decoder;
    AVPacket *packet;
    AVFrame *frame, *rgb;
    struct SwsContext *scaler;
} video_job;

/* ---- what to keep ----------------------------------------------------------------------------------------------- */

static double frame_seconds(const video_job *job, int64_t number) {
    const weft_clip *clip = &job->clip;
    if (!clip->times || number >= clip->frame_count) return (double)number / clip->fps;
    return weft_clip_seconds(clip, clip->times[number], clip->times[0]);
}

/* The frames shown within [start_seconds, end_seconds). */
static weft_status find_part(video_job *job) {
    double start = job->sampling->start_seconds, end = job->sampling->end_seconds;
    if (!(start >= 0) || !(end >= 0) || (end > 0 && end <= start))
        return weft_fail(job->err, WEFT_ERR_INVALID, "video: from %g to %g seconds is not a part of it", start, end);
    int64_t low = 0, high = job->total;
    while (low < high && frame_seconds(job, low) < start) low++;
    while (end > 0 && high > low && frame_seconds(job, high - 1) >= end) high--;
    if (low == high)
        return weft_fail(job->err, WEFT_ERR_INVALID, "video: no frame from second %g on; it is %.1f seconds long",
                         start, job->video->duration);
    job->first = low;
    job->total = high - low;
    return WEFT_OK;
}

static weft_status check_volume(const video_job *job, int64_t frames, int64_t width, int64_t height) {
    if (width * height <= job->limits->video_pixels_max / frames) return WEFT_OK;
    return weft_fail(job->err, WEFT_ERR_LIMIT,
                     "video: %lld frames of %lld x %lld pixels are over the limit of %lld pixels: "
                     "ask for a lower fps, fewer frames or a shorter part",
                     (long long)frames, (long long)width, (long long)height, (long long)job->limits->video_pixels_max);
}

/* Chooses the frames among `total` and makes room for them. */
static weft_status choose(video_job *job, int64_t total) {
    weft_video_sampling sampling = *job->sampling;
    if (sampling.max_frames <= 0 || sampling.max_frames > job->limits->frames_max)
        sampling.max_frames = job->limits->frames_max;
    if (sampling.min_frames > sampling.max_frames) sampling.min_frames = sampling.max_frames;
    if (!(sampling.fps > 0)) sampling.fps = 2;
    weft_video_free(job->video);
    free(job->wanted);
    job->filled = 0;
    job->video->duration = frame_seconds(job, total - 1) + 1 / job->clip.fps;
    job->total = total;
    WEFT_TRY(find_part(job));
    job->wanted = malloc((size_t)sampling.max_frames * sizeof *job->wanted);
    job->video->rgb = calloc((size_t)sampling.max_frames, sizeof *job->video->rgb);
    job->video->seconds = calloc((size_t)sampling.max_frames, sizeof *job->video->seconds);
    if (!job->wanted || !job->video->rgb || !job->video->seconds)
        return weft_fail(job->err, WEFT_ERR_MEMORY, "video: no memory for its frame list");
    job->video->frames = weft_video_sample_indices(job->total, job->clip.fps, &sampling, job->wanted);
    for (int64_t i = 0; i < job->video->frames; i++) job->wanted[i] += job->first;
    const AVCodecParameters *codec = job->clip.stream->codecpar;
    return check_volume(job, job->video->frames, codec->width, codec->height);
}

/* Marks the packets to decode: whole groups from one key packet to the next that hold a wanted frame. A frame shown
 * before the key packet of its group leans on the group before, which is then needed too. */
static void mark_groups(video_job *job) {
    const weft_clip *clip = &job->clip;
    int64_t end = clip->packet_count;
    bool group_before = false;
    for (int64_t begin = end - 1; begin >= 0; begin--) {
        if (!clip->packets[begin].key && begin > 0) continue;
        bool need = group_before;
        group_before = false;
        for (int64_t i = begin; i < end; i++) {
            int64_t rank = clip->packets[i].rank;
            if (rank < 0 || !bsearch(&rank, job->wanted, (size_t)job->video->frames, sizeof rank, weft_compare_int64))
                continue;
            need = true;
            if (rank < clip->packets[begin].rank) group_before = true;
        }
        for (int64_t i = begin; i < end; i++) job->needed[i] = need;
        end = begin;
    }
}

/* ---- decoding --------------------------------------------------------------------------------------------------- */

static weft_status open_decoder(video_job *job) {
    avcodec_free_context(&job->decoder);
    job->decoder = avcodec_alloc_context3(job->clip.codec);
    if (!job->decoder || avcodec_parameters_to_context(job->decoder, job->clip.stream->codecpar) < 0)
        return weft_fail(job->err, WEFT_ERR_MEMORY, "video: no memory for its decoder");
    job->decoder->max_pixels = job->limits->pixels_max;
    job->decoder->pkt_timebase = job->clip.stream->time_base;
    int cores = weft_cpu_cores();
    job->decoder->thread_count = cores < DECODER_THREADS_MAX ? cores : DECODER_THREADS_MAX;
    if (avcodec_open2(job->decoder, job->clip.codec, NULL) < 0)
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "video: the %s decoder refuses this stream",
                         job->clip.codec->name);
    return WEFT_OK;
}

static weft_status to_rgb(video_job *job) {
    const AVFrame *frame = job->frame;
    WEFT_TRY(weft_media_check_size("video", frame->width, frame->height, job->limits, job->err));
    if (!job->rgb->data[0]) { /* all frames take the first one's size */
        WEFT_TRY(check_volume(job, job->video->frames, frame->width, frame->height));
        job->rgb->format = AV_PIX_FMT_RGB24;
        job->rgb->width = frame->width;
        job->rgb->height = frame->height;
        if (av_frame_get_buffer(job->rgb, 0) < 0)
            return weft_fail(job->err, WEFT_ERR_MEMORY, "video: no memory for a frame");
    }
    job->scaler = sws_getCachedContext(job->scaler, frame->width, frame->height, frame->format, job->rgb->width,
                                       job->rgb->height, AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    if (!job->scaler)
        return weft_fail(job->err, WEFT_ERR_UNSUPPORTED, "video: a pixel format that cannot be converted");
    int matrix = frame->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : (int)frame->colorspace;
    const int *coefficients = sws_getCoefficients(matrix);
    sws_setColorspaceDetails(job->scaler, coefficients, frame->color_range == AVCOL_RANGE_JPEG, coefficients, 1, 0,
                             1 << 16, 1 << 16);
    if (sws_scale(job->scaler, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, job->rgb->data,
                  job->rgb->linesize) != job->rgb->height)
        return weft_fail(job->err, WEFT_ERR_FORMAT, "video: a frame cannot be converted");
    return WEFT_OK;
}

static weft_status keep_frame(video_job *job, int64_t slot, int64_t number) {
    weft_image image;
    WEFT_TRY(to_rgb(job));
    WEFT_TRY(weft_image_allocate(&image, job->rgb->width, job->rgb->height, 3, job->err));
    av_image_copy_plane(image.rgb, (int)image.width * 3, job->rgb->data[0], job->rgb->linesize[0], (int)image.width * 3,
                        (int)image.height);
    weft_status status = weft_image_turn(&image, job->clip.turns, job->err);
    if (status != WEFT_OK) {
        weft_image_free(&image);
        return status;
    }
    job->video->width = image.width;
    job->video->height = image.height;
    job->video->rgb[slot] = image.rgb;
    /* When only the decoder knows the times, its word stands; without any, the rate decides. */
    double seconds = frame_seconds(job, number);
    int64_t start = job->clip.stream->start_time;
    if (!job->by_time && !job->clip.times && job->frame->best_effort_timestamp != AV_NOPTS_VALUE &&
        start != AV_NOPTS_VALUE)
        seconds = weft_clip_seconds(&job->clip, job->frame->best_effort_timestamp, start);
    job->video->seconds[slot] = seconds;
    job->filled++;
    return WEFT_OK;
}

/* Which frame of the clip just came out, -1: one that the container did not announce. */
static int64_t frame_number(const video_job *job) {
    if (!job->by_time) return job->seen;
    int64_t pts = job->frame->pts != AV_NOPTS_VALUE ? job->frame->pts : job->frame->best_effort_timestamp;
    const int64_t *found =
        bsearch(&pts, job->clip.times, (size_t)job->clip.frame_count, sizeof pts, weft_compare_int64);
    return found ? found - job->clip.times : -1;
}

static weft_status receive_frames(video_job *job) {
    for (;;) {
        int code = avcodec_receive_frame(job->decoder, job->frame);
        if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return WEFT_OK;
        if (code < 0) {
            if (++job->errors > DECODE_ERRORS_MAX)
                return weft_fail(job->err, WEFT_ERR_FORMAT, "video: too many damaged frames");
            return WEFT_OK;
        }
        int64_t number = frame_number(job);
        job->seen++;
        const int64_t *found =
            bsearch(&number, job->wanted, (size_t)job->video->frames, sizeof number, weft_compare_int64);
        weft_status status = WEFT_OK;
        if (found && !job->video->rgb[found - job->wanted]) status = keep_frame(job, found - job->wanted, number);
        av_frame_unref(job->frame);
        WEFT_TRY(status);
    }
}

static weft_status drain(video_job *job) {
    avcodec_send_packet(job->decoder, NULL);
    return receive_frames(job);
}

static weft_status send(video_job *job, const AVPacket *packet) {
    int code = avcodec_send_packet(job->decoder, packet);
    if (code < 0 && ++job->errors > DECODE_ERRORS_MAX)
        return weft_fail(job->err, WEFT_ERR_FORMAT, "video: too many damaged packets");
    return receive_frames(job);
}

/* One pass over the packets, decoding those that are needed. */
static weft_status decode_pass(video_job *job) {
    WEFT_TRY(weft_clip_rewind(&job->clip, job->err));
    WEFT_TRY(open_decoder(job));
    job->seen = 0;
    job->errors = 0;
    bool skipped = false;
    weft_status status = WEFT_OK;
    for (int64_t at = 0; status == WEFT_OK && av_read_frame(job->clip.format, job->packet) >= 0;) {
        if (job->packet->stream_index == job->clip.stream->index) {
            bool need = at >= job->clip.packet_count || job->needed[at];
            at++;
            if (!need && !skipped) status = drain(job);
            if (need && skipped) avcodec_flush_buffers(job->decoder);
            skipped = !need;
            if (need && status == WEFT_OK) status = send(job, job->packet);
        }
        av_packet_unref(job->packet);
        if (job->filled == job->video->frames) return status;
    }
    return status == WEFT_OK && !skipped ? drain(job) : status;
}

static weft_status decode(video_job *job) {
    job->packet = av_packet_alloc();
    job->frame = av_frame_alloc();
    job->rgb = av_frame_alloc();
    job->needed = malloc((size_t)job->clip.packet_count * sizeof *job->needed);
    if (!job->packet || !job->frame || !job->rgb || !job->needed)
        return weft_fail(job->err, WEFT_ERR_MEMORY, "video: no memory for its decoder");
    WEFT_TRY(choose(job, job->clip.frame_count));
    job->by_time = job->clip.times != NULL;
    if (job->by_time) {
        mark_groups(job);
        WEFT_TRY(decode_pass(job));
        if (job->filled == job->video->frames) return WEFT_OK;
    }
    /* Count frames instead; when the decoder delivers another number than the container promised, choose among those.
     */
    job->by_time = false;
    memset(job->needed, 1, (size_t)job->clip.packet_count * sizeof *job->needed);
    WEFT_TRY(choose(job, job->clip.frame_count));
    WEFT_TRY(decode_pass(job));
    if (job->filled < job->video->frames && job->seen > 0) {
        WEFT_TRY(choose(job, job->seen));
        WEFT_TRY(decode_pass(job));
    }
    if (job->filled == job->video->frames) return WEFT_OK;
    return weft_fail(job->err, WEFT_ERR_FORMAT, "video: damaged: %lld of %lld frames could be decoded",
                     (long long)job->filled, (long long)job->video->frames);
}

weft_status weft_video_decode(const void *bytes, size_t size, const weft_video_sampling *sampling,
                              const weft_media_limits *limits, weft_video *video, weft_error *err) {
    *video = (weft_video){0};
    if (!limits) limits = &weft_media_default_limits;
    if (size == 0) return weft_fail(err, WEFT_ERR_FORMAT, "the video is empty (0 bytes)");
    if (size > limits->bytes_max)
        return weft_fail(err, WEFT_ERR_LIMIT, "the video has %zu bytes, the limit is %zu", size, limits->bytes_max);
    video_job job = {.sampling = sampling, .limits = limits, .video = video, .err = err};
    weft_status status = weft_clip_open(&job.clip, bytes, size, limits, err);
    if (status == WEFT_OK) status = decode(&job);
    sws_freeContext(job.scaler);
    avcodec_free_context(&job.decoder);
    av_packet_free(&job.packet);
    av_frame_free(&job.frame);
    av_frame_free(&job.rgb);
    weft_clip_close(&job.clip);
    free(job.wanted);
    free(job.needed);
    if (status != WEFT_OK) weft_video_free(video);
    return status;
}

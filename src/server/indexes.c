/* /v1/indexes: videos that were uploaded, captioned segment by segment in the background (indexer.c), searched by
 * words.
 *
 * An index lives as long as its file. Everything here answers at once, except a search that looks again at the video:
 * that one asks the model, as a chat would, and at most WEFT_INDEX_SEARCHES_MAX do so at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/server_internal.h"

enum { LIST_DEFAULT = 100, SEARCH_DEFAULT = 5, PIECE_MAX = 1 << 20 };

static const char no_store[] =
    "this server keeps no indexes: it was started without a folder that it can write to (--data-dir)";

/* ---- the object ------------------------------------------------------------------------------------------------ */

static json_t *number_or_null(double value, bool known) {
    return known ? json_real(value) : json_null();
}
static json_t *time_or_null(int64_t seconds) {
    return seconds > 0 ? json_integer(seconds) : json_null();
}

static int64_t total_segments(weft_server *server, const weft_job *job) {
    weft_video_job video = weft_indexer_video_job(server, job, NULL);
    weft_video_take_up(&video, job->video, job->duration);
    return video.segments;
}

/* {"code", "message"} of what stands in a job's way; null when nothing does. */
static json_t *trouble(weft_server *server, const weft_job *job) {
    bool unfinished = job->state == WEFT_JOB_QUEUED || job->state == WEFT_JOB_RUNNING;
    if (unfinished && !weft_models_find(server, job->model))
        return json_pack("{s:s, s:s}", "code", "model_not_found", "message",
                         "the model of this index is not served at present: the index goes on when it is");
    if (job->state != WEFT_JOB_FAILED) return json_null();
    unsigned status;
    json_t *whole = weft_object_error(&job->error, &status), *inner = json_object_get(whole, "error");
    json_t *code = json_object_get(inner, "code");
    json_t *object = json_pack("{s:O, s:O}", "code", json_is_string(code) ? code : json_object_get(inner, "type"),
                               "message", json_object_get(inner, "message"));
    json_decref(whole);
    return object;
}

static json_t *index_object(weft_server *server, const weft_job *job) {
    static const char *const states[] = {
        [WEFT_JOB_QUEUED] = "queued", [WEFT_JOB_RUNNING] = "in_progress", [WEFT_JOB_COMPLETED] = "completed",
        [WEFT_JOB_FAILED] = "failed", [WEFT_JOB_CANCELLED] = "cancelled",
    };
    bool known = job->duration > 0;
    int64_t total = total_segments(server, job);
    double left = job->state == WEFT_JOB_RUNNING && known
                      ? weft_indexer_seconds_left(server->indexer, job->id, total - job->done)
                      : -1;
    return json_pack("{s:s, s:s, s:I, s:o, s:s, s:o, s:o, s:f, s:f, s:o, s:s, s:o, s:{s:I, s:o}, s:o, s:o}", "id",
                     job->id, "object", "video.index", "created_at", (json_int_t)job->created, "ended_at",
                     time_or_null(job->ended), "file_id", job->file, "filename", weft_object_text(job->name), "model",
                     weft_object_text(job->model), "segment_seconds", job->segment_seconds, "fps", job->fps,
                     "max_pixels", job->max_pixels > 0 ? json_integer(job->max_pixels) : json_null(), "status",
                     job->state <= WEFT_JOB_CANCELLED ? states[job->state] : "failed", "duration",
                     number_or_null(job->duration, known), "segments", "done", (json_int_t)job->done, "total",
                     known ? json_integer(total) : json_null(), "seconds_left", number_or_null(left, left >= 0),
                     "error", trouble(server, job));
}

static enum MHD_Result send_index(weft_server *server, struct MHD_Connection *connection, const weft_job *job) {
    return weft_http_json(connection, MHD_HTTP_OK, index_object(server, job));
}

static enum MHD_Result no_such_index(struct MHD_Connection *connection) {
    return weft_http_error(connection, 404, "invalid_request_error", "not_found", "no such index");
}

/* The job, if it is there and its file too. */
static weft_status find_job(weft_server *server, const char *id, weft_job *job, weft_error *err) {
    WEFT_TRY(weft_jobs_get(server->videos, id, job, err));
    return weft_indexer_check_file(server, job, err);
}

/* ---- making and listing ---------------------------------------------------------------------------------------- */

/* A number of the body; `absent` when it is not there or null. */
static weft_status take_number(const json_t *body, const char *name, double absent, double *value, weft_error *err) {
    const json_t *given = json_object_get(body, name);
    *value = absent;
    if (!given || json_is_null(given)) return WEFT_OK;
    if (!json_is_number(given)) return weft_fail(err, WEFT_ERR_INVALID, "'%s' must be a number", name);
    *value = json_number_value(given);
    return WEFT_OK;
}

static weft_status read_wish(weft_server *server, const json_t *body, weft_job *job, weft_error *err) {
    weft_video_settings settings = weft_video_defaults;
    weft_file_info info;
    double pixels;
    const json_t *name = json_object_get(body, "model");
    const char *file = json_string_value(json_object_get(body, "file_id"));
    if (!json_is_object(body)) return weft_fail(err, WEFT_ERR_INVALID, "the body must be a JSON object");
    if (!file)
        return weft_fail(err, WEFT_ERR_INVALID, "'file_id' must be the id of an uploaded video (POST /v1/files)");
    if (name && !json_is_string(name) && !json_is_null(name))
        return weft_fail(err, WEFT_ERR_INVALID, "'model' must be a string");
    const weft_server_model *model = weft_models_find(server, json_string_value(name));
    if (!model) return weft_fail(err, WEFT_ERR_NOT_FOUND, "no such model is served here; GET /v1/models lists them");
    if (!weft_model_get_info(model->model)->vision)
        return weft_fail(err, WEFT_ERR_INVALID, "the model '%.100s' takes text only: choose one that sees", model->id);
    WEFT_TRY(take_number(body, "segment_seconds", settings.segment, &settings.segment, err));
    WEFT_TRY(take_number(body, "fps", settings.fps, &settings.fps, err));
    WEFT_TRY(take_number(body, "max_pixels", 0, &pixels, err));
    if (!(pixels >= 0 && pixels < 1e15 && pixels == floor(pixels)))
        return weft_fail(err, WEFT_ERR_INVALID, "'max_pixels' must be a whole number");
    settings.max_pixels = (int64_t)pixels;
    WEFT_TRY(weft_video_check(&settings, err));
    WEFT_TRY(weft_files_get(server->files, file, &info, err));
    if (strlen(model->id) >= sizeof job->model)
        return weft_fail(err, WEFT_ERR_LIMIT, "the model's name is over %zu bytes", sizeof job->model - 1);
    *job = (weft_job){.segment_seconds = settings.segment, .fps = settings.fps, .max_pixels = settings.max_pixels};
    weft_object_id(job->id, sizeof job->id, "index_");
    snprintf(job->file, sizeof job->file, "%s", info.id);
    snprintf(job->sha256, sizeof job->sha256, "%s", info.sha256);
    snprintf(job->name, sizeof job->name, "%s", info.name);
    snprintf(job->model, sizeof job->model, "%s", model->id);
    return WEFT_OK;
}

static json_t *parse_body(const weft_exchange *exchange) {
    return json_loadb(exchange->body.data ? exchange->body.data : "", exchange->body.size, 0, NULL);
}

static enum MHD_Result create_index(weft_exchange *exchange, struct MHD_Connection *connection) {
    weft_server *server = exchange->server;
    weft_job job;
    weft_error err;
    json_t *body = parse_body(exchange);
    weft_status status = read_wish(server, body, &job, &err);
    json_decref(body);
    if (status == WEFT_OK) status = weft_jobs_add(server->videos, &job, &err);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    weft_indexer_wake(server->indexer);
    return send_index(server, connection, &job);
}

static enum MHD_Result list_indexes(weft_server *server, struct MHD_Connection *connection) {
    const char *limit = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "limit");
    weft_job *list;
    int count;
    bool more;
    weft_error err;
    if (weft_jobs_list(server->videos, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "after"),
                       MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "file_id"),
                       limit ? atoi(limit) : LIST_DEFAULT, &list, &count, &more, &err) != WEFT_OK)
        return weft_http_fail(connection, &err);
    json_t *data = json_array();
    for (int i = 0; i < count; i++)
        if (weft_indexer_check_file(server, &list[i], NULL) == WEFT_OK)
            json_array_append_new(data, index_object(server, &list[i]));
    json_t *body = json_pack("{s:s, s:o, s:b, s:s?, s:s?}", "object", "list", "data", data, "has_more", more,
                             "first_id", count ? list[0].id : NULL, "last_id", count ? list[count - 1].id : NULL);
    free(list);
    return weft_http_json(connection, MHD_HTTP_OK, body);
}

enum MHD_Result weft_http_indexes(weft_exchange *exchange, struct MHD_Connection *connection, const char *method) {
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    if (!exchange->server->files) return weft_http_error(connection, 503, "server_error", "unsupported", no_store);
    return strcmp(method, "POST") == 0 ? create_index(exchange, connection)
                                       : list_indexes(exchange->server, connection);
}

/* ---- ending ---------------------------------------------------------------------------------------------------- */

static enum MHD_Result cancel_index(weft_server *server, struct MHD_Connection *connection, const char *id) {
    bool moved;
    weft_job job;
    weft_error err;
    weft_status status = weft_jobs_move(server->videos, id, WEFT_JOB_CANCELLED, NULL, &moved, &err);
    if (status == WEFT_OK && moved) weft_indexer_interrupt(server->indexer, id);
    if (status == WEFT_OK) status = weft_jobs_get(server->videos, id, &job, &err);
    return status == WEFT_OK ? send_index(server, connection, &job) : weft_http_fail(connection, &err);
}

static weft_status delete_index(weft_server *server, const char *id, weft_error *err) {
    WEFT_TRY(weft_jobs_delete(server->videos, id, err));
    weft_indexer_interrupt(server->indexer, id);
    return WEFT_OK;
}

void weft_indexes_forget_file(weft_server *server, const char *file) {
    weft_job *list;
    int count;
    bool more;
    if (weft_jobs_list(server->videos, NULL, file, WEFT_JOBS_MAX, &list, &count, &more, NULL) != WEFT_OK)
        return; /* whoever looks at one of them next finds that its file is gone */
    for (int i = 0; i < count; i++) delete_index(server, list[i].id, NULL);
    free(list);
}

/* ---- searching ------------------------------------------------------------------------------------------------- */

typedef struct search {
    weft_server *server;
    struct MHD_Connection *connection;
    json_t *ranges;
} search;

static void add_range(void *context, const weft_video_range *range) {
    const weft_video_segment *s = &range->found;
    json_array_append_new(((search *)context)->ranges,
                          json_pack("{s:s, s:f, s:f, s:s, s:o, s:f, s:b, s:s}", "object", "video.range", "start",
                                    s->begins, "end", s->ends, "range", range->clock, "caption",
                                    weft_object_text(s->caption), "score", s->score, "confirmed", range->confirmed,
                                    "match", range->by_meaning ? "meaning" : "words"));
}

static bool search_cancelled(void *context) {
    const search *s = context;
    return atomic_load(&s->server->stopping) || weft_http_disconnected(s->connection);
}

static weft_status read_search(const json_t *body, const char **query, int *limit, bool *refine, weft_error *err) {
    const json_t *words = json_object_get(body, "query"), *again = json_object_get(body, "refine");
    double count;
    *query = json_string_value(words);
    if (!json_is_object(body)) return weft_fail(err, WEFT_ERR_INVALID, "the body must be a JSON object");
    if (!*query || json_string_length(words) == 0 || json_string_length(words) != strlen(*query))
        return weft_fail(err, WEFT_ERR_INVALID, "'query' must be the words to look for");
    if (json_string_length(words) > WEFT_INDEX_QUERY_MAX)
        return weft_fail(err, WEFT_ERR_LIMIT, "'query' is over %d bytes", WEFT_INDEX_QUERY_MAX);
    if (again && !json_is_boolean(again) && !json_is_null(again))
        return weft_fail(err, WEFT_ERR_INVALID, "'refine' must be true or false");
    WEFT_TRY(take_number(body, "limit", SEARCH_DEFAULT, &count, err));
    if (!(count >= 1 && count <= WEFT_INDEX_HITS_MAX && count == floor(count)))
        return weft_fail(err, WEFT_ERR_INVALID, "'limit' must be 1 to %d", WEFT_INDEX_HITS_MAX);
    *limit = (int)count;
    *refine = json_is_true(again);
    return WEFT_OK;
}

static weft_status run_search(search *s, const weft_job *job, const char *query, int limit, bool refine,
                              weft_error *err) {
    const weft_server_model *model = weft_models_find(s->server, job->model);
    if (refine && !model)
        return weft_fail(err, WEFT_ERR_NOT_FOUND,
                         "the model of this index, '%.100s', is not served here: search without 'refine'", job->model);
    weft_video_job video = weft_indexer_video_job(s->server, job, model);
    video.cancelled = search_cancelled;
    video.cancelled_context = s;
    weft_video_take_up(&video, job->video, job->duration);
    bool crowded = refine && atomic_fetch_add(&s->server->searching, 1) >= WEFT_INDEX_SEARCHES_MAX;
    weft_status status = crowded ? weft_fail(err, WEFT_ERR_BUSY, "%d searches look at videos already: try again later",
                                             WEFT_INDEX_SEARCHES_MAX)
                                 : weft_video_search(&video, query, limit, refine, add_range, s, err);
    if (refine) atomic_fetch_sub(&s->server->searching, 1);
    return status;
}

static enum MHD_Result search_index(weft_exchange *exchange, struct MHD_Connection *connection, const char *id) {
    weft_server *server = exchange->server;
    search s = {.server = server, .connection = connection, .ranges = json_array()};
    weft_job job;
    weft_error err;
    const char *query;
    int limit = 0;
    bool refine = false;
    json_t *body = parse_body(exchange), *answer = NULL;
    weft_status status = find_job(server, id, &job, &err);
    if (status == WEFT_OK) status = read_search(body, &query, &limit, &refine, &err);
    if (status == WEFT_OK) {
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u); /* the model may take long */
        status = run_search(&s, &job, query, limit, refine, &err);
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)WEFT_HTTP_IDLE_SECONDS);
    }
    if (status == WEFT_OK)
        answer = json_pack("{s:s, s:s, s:O, s:O}", "object", "list", "index_id", job.id, "query",
                           json_object_get(body, "query"), "data", s.ranges);
    /* an index that is not complete finds what it has */
    if (answer) json_object_set_new(answer, "index", index_object(server, &job));
    json_decref(body);
    json_decref(s.ranges);
    if (status == WEFT_ERR_CANCELLED) return MHD_NO;
    return status == WEFT_OK ? weft_http_json(connection, MHD_HTTP_OK, answer) : weft_http_fail(connection, &err);
}

/* ---- captions -------------------------------------------------------------------------------------------------- */

typedef struct caption_stream { /* all captions, one in memory at a time */
    weft_video_job video;
    weft_video_format format;
    weft_buffer piece;
    size_t sent;
    int64_t number;
    bool more;
} caption_stream;

static void free_captions(void *context) {
    caption_stream *stream = context;
    weft_buffer_free(&stream->piece);
    free(stream);
}

static ssize_t read_captions(void *context, uint64_t position, char *buffer, size_t max) {
    (void)position;
    caption_stream *stream = context;
    while (stream->sent == stream->piece.size) {
        if (!stream->more) return MHD_CONTENT_READER_END_OF_STREAM;
        weft_buffer_clear(&stream->piece);
        stream->sent = 0;
        if (weft_video_export(&stream->video, stream->format, stream->number++, &stream->piece, &stream->more, NULL) !=
            WEFT_OK)
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t n = stream->piece.size - stream->sent < max ? stream->piece.size - stream->sent : max;
    memcpy(buffer, stream->piece.data + stream->sent, n);
    stream->sent += n;
    return (ssize_t)n;
}

static enum MHD_Result send_captions(weft_server *server, struct MHD_Connection *connection, const weft_job *job,
                                     weft_video_format format) {
    caption_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return weft_http_error(connection, 503, "server_error", "out_of_memory", "no memory for the captions");
    *stream = (caption_stream){.video = weft_indexer_video_job(server, job, NULL), .format = format, .more = true};
    weft_video_take_up(&stream->video, job->video, job->duration);
    stream->video.name = stream->video.url = NULL; /* the job ends before the stream does */
    weft_buffer_init(&stream->piece, PIECE_MAX, "a caption");
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_captions, stream, free_captions);
    if (!response) {
        free_captions(stream);
        return MHD_NO;
    }
    bool srt = format == WEFT_VIDEO_SRT;
    MHD_add_response_header(response, "Content-Type", srt ? "application/x-subrip; charset=utf-8" : "application/json");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    weft_http_common_headers(response);
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- one index ------------------------------------------------------------------------------------------------- */

static enum MHD_Result get_index(weft_server *server, struct MHD_Connection *connection, const char *id,
                                 const char *part) {
    weft_job job;
    weft_error err;
    bool json = strcmp(part, "captions.json") == 0, srt = strcmp(part, "captions.srt") == 0;
    if (*part && !json && !srt) return no_such_index(connection);
    weft_status status = find_job(server, id, &job, &err);
    if (status == WEFT_ERR_NOT_FOUND) return no_such_index(connection);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    return *part ? send_captions(server, connection, &job, json ? WEFT_VIDEO_JSON : WEFT_VIDEO_SRT)
                 : send_index(server, connection, &job);
}

enum MHD_Result weft_http_index(weft_exchange *exchange, struct MHD_Connection *connection, const char *method,
                                const char *rest) {
    weft_server *server = exchange->server;
    weft_error err;
    char id[40];
    const char *slash = strchr(rest, '/'), *part = slash ? slash + 1 : "";
    size_t size = slash ? (size_t)(slash - rest) : strlen(rest);
    bool post = strcmp(method, "POST") == 0;
    if (exchange->status != WEFT_OK) return weft_http_fail(connection, &exchange->error);
    if (!server->files) return weft_http_error(connection, 503, "server_error", "unsupported", no_store);
    if (size == 0 || size >= sizeof id) return no_such_index(connection);
    snprintf(id, sizeof id, "%.*s", (int)size, rest);
    if (post && strcmp(part, "search") == 0) return search_index(exchange, connection, id);
    if (post && strcmp(part, "cancel") == 0) return cancel_index(server, connection, id);
    if (post) return *part ? no_such_index(connection) : weft_http_wrong_method(connection, "GET, DELETE");
    if (strcmp(method, "DELETE") != 0) return get_index(server, connection, id, part);
    if (*part) return no_such_index(connection);
    weft_status status = delete_index(server, id, &err);
    if (status == WEFT_ERR_NOT_FOUND) return no_such_index(connection);
    if (status != WEFT_OK) return weft_http_fail(connection, &err);
    return weft_http_json(connection, MHD_HTTP_OK,
                          json_pack("{s:s, s:s, s:b}", "id", id, "object", "video.index", "deleted", 1));
}

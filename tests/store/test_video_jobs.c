/* Indexes that a server makes, as rows: asked for once, moved while unfinished, captions that go with the last job,
 * older databases brought up to date. */
#include "store/video_jobs.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "store/database.h"
#include "testing.h"

static weft_error err;

static weft_job wish(const char *id, const char *file, double fps) {
    weft_job job = {.segment_seconds = 10, .fps = fps};
    snprintf(job.id, sizeof job.id, "%s", id);
    snprintf(job.file, sizeof job.file, "%s", file);
    snprintf(job.sha256, sizeof job.sha256, "same");
    snprintf(job.name, sizeof job.name, "a.mp4");
    snprintf(job.model, sizeof job.model, "m");
    return job;
}

static int64_t add_video(weft_video_index *index, const char *path) {
    int64_t video = 0;
    CHECK_OK(weft_video_index_add(index, path, 1, 0, "m", 10, 20, &video, &err), err);
    return video;
}

static void put(weft_video_index *index, int64_t video, int64_t number, const char *caption) {
    static weft_video_segment segment;
    segment = (weft_video_segment){.number = number, .begins = 10 * (double)number, .ends = 10 * (double)number + 10};
    snprintf(segment.caption, sizeof segment.caption, "%s", caption);
    CHECK_OK(weft_video_index_put(index, video, &segment, &err), err);
}

static int hits(weft_video_index *index, int64_t video, const char *words) {
    static weft_video_segment found[4];
    int count = -1;
    CHECK_OK(weft_video_index_find(index, video, words, 4, found, &count, &err), err);
    return count;
}

static void test_states(weft_video_index *index) {
    bool moved, found;
    weft_job first = wish("index_1", "file-1", 1), same = wish("index_2", "file-1", 1),
             other = wish("index_3", "file-1", 2);
    CHECK_OK(weft_jobs_add(index, &first, &err), err);
    CHECK_OK(weft_jobs_add(index, &same, &err), err);
    CHECK_OK(weft_jobs_add(index, &other, &err), err);
    CHECK_STR(first.id, "index_1");
    CHECK_STR(same.id, "index_1");
    CHECK_STR(other.id, "index_3");
    CHECK(first.created > 0 && first.ended == 0 && first.state == WEFT_JOB_QUEUED);
    weft_job job;
    CHECK_OK(weft_jobs_next(index, 0, &job, &found, &err), err);
    CHECK(found);
    CHECK_STR(job.id, "index_1");
    CHECK_OK(weft_jobs_next(index, job.number, &job, &found, &err), err);
    CHECK(found);
    CHECK_STR(job.id, "index_3");
    CHECK_OK(weft_jobs_next(index, job.number, &job, &found, &err), err);
    CHECK(!found);

    weft_error why = {.status = WEFT_ERR_FORMAT, .message = "no video"};
    CHECK_OK(weft_jobs_move(index, "index_1", WEFT_JOB_RUNNING, NULL, &moved, &err), err);
    CHECK(moved);
    CHECK_OK(weft_jobs_move(index, "index_1", WEFT_JOB_FAILED, &why, &moved, &err), err);
    CHECK(moved);
    CHECK_OK(weft_jobs_move(index, "index_1", WEFT_JOB_COMPLETED, NULL, &moved, &err), err);
    CHECK(!moved); /* what has ended stays ended */
    CHECK_OK(weft_jobs_get(index, "index_1", &job, &err), err);
    CHECK(job.state == WEFT_JOB_FAILED && job.error.status == WEFT_ERR_FORMAT && job.ended > 0);
    CHECK_STR(job.error.message, "no video");
    CHECK_OK(weft_jobs_add(index, &same, &err), err); /* asked for again */
    CHECK(same.state == WEFT_JOB_QUEUED && same.error.status == WEFT_OK && same.ended == 0);
    CHECK_OK(weft_jobs_move(index, "index_1", WEFT_JOB_COMPLETED, NULL, &moved, &err), err);
    CHECK_OK(weft_jobs_add(index, &same, &err), err);
    CHECK(same.state == WEFT_JOB_COMPLETED);

    weft_job *list;
    int count;
    bool more;
    CHECK_OK(weft_jobs_list(index, NULL, NULL, 1, &list, &count, &more, &err), err);
    CHECK(count == 1 && more);
    CHECK_STR(list[0].id, "index_3"); /* newest first */
    free(list);
    CHECK_OK(weft_jobs_list(index, "index_3", "file-1", 9, &list, &count, &more, &err), err);
    CHECK(count == 1 && !more);
    free(list);
    CHECK_INT(weft_jobs_list(index, "index_9", NULL, 9, &list, &count, &more, &err), WEFT_ERR_INVALID);
    CHECK_INT(weft_jobs_get(index, "index_9", &job, &err), WEFT_ERR_NOT_FOUND);
    CHECK_INT(weft_jobs_delete(index, "index_9", &err), WEFT_ERR_NOT_FOUND);
}

static void test_captions(weft_video_index *index) {
    int64_t shared = add_video(index, "sha256:same"), own = add_video(index, "/a/path"), count;
    put(index, shared, 0, "a red car");
    put(index, own, 0, "a red bus");
    CHECK_OK(weft_jobs_place(index, "index_1", shared, &err), err);
    CHECK_OK(weft_jobs_place(index, "index_3", shared, &err), err);
    weft_job job;
    CHECK_OK(weft_jobs_get(index, "index_3", &job, &err), err);
    CHECK(job.video == shared && job.duration == 20);
    CHECK_INT(job.done, 1);
    CHECK_OK(weft_jobs_delete(index, "index_1", &err), err);
    CHECK_INT(hits(index, shared, "car"), 1); /* another has it */
    CHECK_OK(weft_jobs_delete(index, "index_3", &err), err);
    CHECK_INT(hits(index, shared, "car"), 0);
    CHECK_OK(weft_video_index_count(index, shared, &count, &err), err);
    CHECK_INT(count, 0);
    CHECK_INT(hits(index, own, "red"), 1); /* made from the command line: nobody's but its own */
    int64_t fresh = add_video(index, "sha256:same");
    put(index, fresh, 0, "a tree"); /* may have the number of one that went */
    CHECK_INT(hits(index, fresh, "car"), 0);
    CHECK_INT(hits(index, fresh, "tree"), 1);
}

static void test_older_layout(const char *path) {
    static const char *const as_it_is[] = {"", "", "", "", "", "", "", "", NULL}; /* passes for newer than any layout there is */
    weft_database db;
    weft_video_index *index;
    CHECK_OK(weft_database_open(path, "test", as_it_is, &db, &err), err);
    CHECK_OK(weft_database_exec(&db, "DROP TABLE jobs; DROP TABLE vectors; DROP INDEX segments_by_caption; PRAGMA user_version = 1", &err), err);
    weft_database_close(&db);
    weft_status status = weft_video_index_open(path, &index, &err);
    CHECK_OK(status, err);
    if (status != WEFT_OK) return;
    CHECK_INT(hits(index, add_video(index, "/a/path"), "bus"), 1);
    weft_job job = wish("index_5", "file-5", 1);
    CHECK_OK(weft_jobs_add(index, &job, &err), err);
    weft_video_index_close(index);
    CHECK_OK(weft_database_open(path, "test", as_it_is, &db, &err), err);
    CHECK_OK(weft_database_exec(&db, "PRAGMA user_version = 99", &err), err);
    weft_database_close(&db);
    CHECK_INT(weft_video_index_open(path, &index, &err), WEFT_ERR_UNSUPPORTED);
}

int main(void) {
    char folder[] = "/tmp/weft-jobs-XXXXXX", path[64], command[64];
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/videos.db", folder);
    weft_video_index *index;
    CHECK_OK(weft_video_index_open(path, &index, &err), err);
    test_states(index);
    test_captions(index);
    weft_video_index_close(index);
    test_older_layout(path);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? testing_summary() : 1;
}

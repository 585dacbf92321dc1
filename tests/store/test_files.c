/* The store of uploaded files and the index of videos, without a server: counts, quota, uploads in ranges, words. */
#include "store/files.h"
#include "store/video_index.h"

#include <unistd.h>

#include "testing.h"

static weft_error err;

static weft_status put(weft_files *files, int fill, size_t size, weft_file_info *info) {
    static char bytes[4096];
    weft_file_writer *writer;
    *info = (weft_file_info){.name = "a", .purpose = "p"};
    memset(bytes, fill, sizeof bytes);
    WEFT_TRY(weft_file_writer_begin(files, &writer, &err));
    weft_status status = weft_file_writer_append(writer, bytes, size, &err);
    if (status == WEFT_OK) return weft_file_writer_commit(writer, info, &err);
    weft_file_writer_abort(writer);
    return status;
}

static int count_files(weft_files *files) {
    weft_file_info *list;
    int count;
    bool more;
    CHECK_OK(weft_files_list(files, NULL, NULL, false, 100, &list, &count, &more, &err), err);
    free(list);
    return count;
}

static void test_files(const char *folder) {
    weft_files *files;
    weft_file_info first, second, third;
    CHECK_OK(weft_files_open(folder, 8192, &files, &err), err);
    CHECK_OK(put(files, 1, 4000, &first), err);
    CHECK_OK(put(files, 1, 4000, &second), err); /* the same bytes take no room */
    CHECK_OK(put(files, 2, 3000, &third), err);
    CHECK_STR(first.sha256, second.sha256);
    CHECK(strcmp(first.id, second.id) != 0);
    CHECK_INT(put(files, 3, 4000, &third), WEFT_ERR_LIMIT);
    CHECK_INT(count_files(files), 3);
    CHECK_OK(weft_files_delete(files, first.id, &err), err);
    CHECK_INT(weft_files_delete(files, first.id, &err), WEFT_ERR_NOT_FOUND);
    CHECK_INT(put(files, 3, 4000, &third), WEFT_ERR_LIMIT); /* the bytes are still the second one's */
    CHECK_OK(weft_files_delete(files, second.id, &err), err);
    CHECK_OK(put(files, 3, 4000, &third), err);
    weft_files_close(files);
    CHECK_OK(weft_files_open(folder, 8192, &files, &err), err);
    CHECK_INT(count_files(files), 2);
    weft_files_close(files);
}

static void test_ranges(const char *folder) {
    weft_files *files;
    weft_file_writer *writer;
    weft_file_info info = {.name = "u", .purpose = "p", .bytes = 10};
    bool complete;
    CHECK_OK(weft_files_open(folder, 1 << 20, &files, &err), err);
    CHECK_OK(weft_files_upload_create(files, &info, &err), err);
    CHECK_OK(weft_files_upload_resume(files, info.id, 0, &writer, &info, &err), err);
    CHECK_OK(weft_file_writer_append(writer, "01234", 5, &err), err);
    CHECK_OK(weft_file_writer_suspend(writer, true, &info, &complete, &err), err);
    CHECK(!complete);
    CHECK_INT(info.received, 5);
    CHECK_INT(weft_files_upload_resume(files, info.id, 4, &writer, &info, &err), WEFT_ERR_INVALID);
    CHECK_OK(weft_files_upload_resume(files, info.id, 5, &writer, &info, &err), err);
    CHECK_OK(weft_file_writer_append(writer, "56789", 5, &err), err);
    CHECK_INT(weft_file_writer_append(writer, "x", 1, &err), WEFT_ERR_INVALID);
    CHECK_OK(weft_file_writer_suspend(writer, true, &info, &complete, &err), err);
    CHECK(complete);
    CHECK_STR(info.sha256, "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"); /* sha256sum of 0123456789 */
    weft_files_close(files);
}

static void test_index(const char *folder) {
    static const char *const captions[] = {"a dog sleeps", "the red car stops", "rain on a street", "cars and a red bus"};
    static weft_video_segment segment, hits[4];
    char path[512];
    weft_video_index *index;
    int64_t video, other, count;
    int found;
    snprintf(path, sizeof path, "%s/videos.db", folder);
    CHECK_OK(weft_video_index_open(path, &index, &err), err);
    CHECK_OK(weft_video_index_add(index, "p", 1, 2, "m", 10, 40, &video, &err), err);
    CHECK_OK(weft_video_index_add(index, "p", 1, 3, "m", 10, 40, &other, &err), err);
    CHECK(video != other);
    for (int i = 0; i < 4; i++) {
        segment = (weft_video_segment){.number = i, .begins = 10 * i, .ends = 10 * i + 10};
        snprintf(segment.caption, sizeof segment.caption, "%s", captions[i]);
        CHECK_OK(weft_video_index_put(index, video, &segment, &err), err);
    }
    CHECK(weft_video_index_put(index, video, &segment, &err) != WEFT_OK); /* twice */
    CHECK_OK(weft_video_index_count(index, video, &count, &err), err);
    CHECK_INT(count, 4);
    CHECK_OK(weft_video_index_find(index, video, "the RED car \"stopping\" OR*", 4, hits, &found, &err), err);
    CHECK_INT(found, 2);
    CHECK_STR(hits[0].caption, captions[1]);
    CHECK_OK(weft_video_index_find(index, other, "red", 4, hits, &found, &err), err);
    CHECK_INT(found, 0);
    CHECK_INT(weft_video_index_find(index, video, "\"'*", 4, hits, &found, &err), WEFT_ERR_INVALID);
    weft_video_index_close(index);
}

int main(void) {
    char folder[] = "/tmp/weft-store-XXXXXX", command[64];
    if (!mkdtemp(folder)) return 1;
    test_files(folder);
    char ranges[64];
    snprintf(ranges, sizeof ranges, "%s/ranges", folder);
    test_ranges(ranges);
    test_index(folder);
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK_INT(system(command), 0);
    return testing_summary();
}

/* weft cache: what the cache of re-laid weights holds, and removing it. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"

static int list_models(void) {
    weft_error err;
    weft_cached_model *list = NULL;
    char *folder = NULL;
    int count = 0;
    if (weft_cached_models(&folder, &list, &count, &err) != WEFT_OK) return weft_cli_fail(&err);
    uint64_t total = 0;
    for (int i = 0; i < count; i++) {
        char used[32] = "";
        time_t seconds = (time_t)list[i].used;
        struct tm day;
        if (localtime_r(&seconds, &day)) strftime(used, sizeof used, "%Y-%m-%d %H:%M", &day);
        printf("%9.1f MB  %s  %s%s\n", (double)list[i].bytes / 1e6, used, list[i].file, list[i].complete ? "" : " (unfinished)");
        total += list[i].bytes;
    }
    printf("%9.1f MB in %d files of %s\n", (double)total / 1e6, count, folder);
    weft_free(list);
    weft_free(folder);
    return 0;
}

static int clear_models(void) {
    weft_error err;
    int removed;
    uint64_t bytes;
    if (weft_cached_models_clear(&removed, &bytes, &err) != WEFT_OK) return weft_cli_fail(&err);
    printf("%d files removed, %.1f MB\n", removed, (double)bytes / 1e6);
    return 0;
}

int weft_cmd_cache(int argc, char **argv) {
    weft_cli_list words = {0};
    const weft_option options[] = {{0}};
    int code = weft_cli_parse(argc, argv, "weft cache [list | clear]", options, &words);
    if (code >= 0) return code;
    if (words.count == 0 || (words.count == 1 && strcmp(words.items[0], "list") == 0)) return list_models();
    if (words.count == 1 && strcmp(words.items[0], "clear") == 0) return clear_models();
    fprintf(stderr, "weft: error: weft cache takes 'list' or 'clear'\n");
    return 2;
}

/* The choice of a level: by name, by WEFT_CPU, by itself; levels that are not there are refused by name. Built twice:
 * once as it is, once with WEFT_ASSUME_BROKEN_AMX, where AMX is found and fails its check. */
#include <stdlib.h>

#include "levels.h"

int main(void) {
    unsetenv("WEFT_CPU");
    const weft_kernels *tables[ALL_LEVELS], *table, *best;
    weft_error err;
    int count = test_levels(tables);
    CHECK(count >= 1);
    CHECK_OK(weft_kernels_select(NULL, &best, &err), err);
    CHECK(best == tables[count - 1]);
    CHECK_OK(weft_kernels_select("", &table, &err), err);
    CHECK(table == best);
    for (int i = 0; i < count; i++) {
        setenv("WEFT_CPU", tables[i]->level, 1);
        CHECK_OK(weft_kernels_select(NULL, &table, &err), err);
        CHECK(table == tables[i]);
        CHECK(table->quantize && table->packed_dot && table->packed_open && table->packed_chunk && table->attention);
    }
    setenv("WEFT_CPU", "mmx", 1);
    CHECK_INT(weft_kernels_select(NULL, &table, &err), WEFT_ERR_INVALID);
    CHECK(strstr(err.message, "WEFT_CPU") && strstr(err.message, "mmx") && strstr(err.message, "ref"));
    CHECK(table == NULL);
#if defined(WEFT_ASSUME_BROKEN_AMX)
    CHECK(weft_kernels_warning() && strstr(weft_kernels_warning(), "AMX"));
    CHECK_INT(weft_kernels_select("amx", &table, &err), WEFT_ERR_UNSUPPORTED);
    CHECK(strcmp(best->level, "amx") != 0);
#else
    printf("warning: %s\n", weft_kernels_warning() ? weft_kernels_warning() : "none");
#endif
    return testing_summary();
}

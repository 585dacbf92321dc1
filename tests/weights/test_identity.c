/* The identity of a model: the same for a copy elsewhere, another after one change of a weight or of the configuration.
 */
#include <unistd.h>

#include "testing.h"
#include "weights/checkpoint.h"

static char folder[64];

static uint64_t identity_of(const char *path) {
    weft_checkpoint *checkpoint = NULL;
    weft_error err;
    CHECK_OK(weft_checkpoint_open(path, NULL, &checkpoint, &err), err);
    uint64_t identity = checkpoint ? weft_checkpoint_identity(checkpoint) : 0;
    weft_checkpoint_close(checkpoint);
    return identity;
}

/* Adds `by` to a byte of a file of the copy. */
static void change(const char *name, long at, int whence, int by) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+b");
    CHECK(file && fseek(file, at, whence) == 0);
    int byte = fgetc(file);
    CHECK(fseek(file, -1, SEEK_CUR) == 0 && fputc(byte + by, file) != EOF);
    fclose(file);
}

int main(void) {
    char command[512];
    snprintf(folder, sizeof folder, "/tmp/weft-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(command, sizeof command, "cp -R %s/models/dense_tied/model/. %s", WEFT_TEST_DATA, folder);
    CHECK(system(command) == 0);
    uint64_t original = identity_of(WEFT_TEST_DATA "/models/dense_tied/model");
    CHECK(identity_of(WEFT_TEST_DATA "/models/video/model") != original);
    CHECK(identity_of(folder) == original);
    change("model.safetensors", -1, SEEK_END, 1); /* the last tensor's last byte */
    uint64_t trained = identity_of(folder);
    CHECK(trained != original);
    change("model.safetensors", -1, SEEK_END, -1);
    CHECK(identity_of(folder) == original);
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", folder);
    FILE *config = fopen(path, "a");
    CHECK(config && fputc('\n', config) != EOF);
    fclose(config);
    CHECK(identity_of(folder) != original && identity_of(folder) != trained);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    return testing_summary();
}

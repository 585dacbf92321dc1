/* weft-media-heif: AVIF and HEIC, whose libraries take longer to load than most pictures to decode. Started by weft, see
 * media/session.c. libde265 always decodes on a thread of its own. */
#include "worker/heif/heif.h"
#include "worker/serve.h"

int main(int argc, char **argv) {
    static const weft_worker_program program = {.warm_up = weft_heif_warm_up, .threads = true, .image = weft_heif_decode};
    return weft_worker_serve(argc, argv, &program);
}

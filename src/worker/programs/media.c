/* weft-media: JPEG, PNG, WebP, GIF, BMP and TIFF, decoded where it does no harm. Started by weft, see media/session.c. */
#include "worker/picture/picture.h"
#include "worker/serve.h"

int main(int argc, char **argv) {
    static const weft_worker_program program = {.warm_up = weft_picture_warm_up, .image = weft_picture_decode};
    return weft_worker_serve(argc, argv, &program);
}

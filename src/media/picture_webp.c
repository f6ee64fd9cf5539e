#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include "media/picture_formats.h"

/* Limit of a whole file: larger than any picture of 16383 x 16383 that the encoder did not expand.
 */
#define MAX_FILE_BYTES (1 << 30)

static bool read_chunk(ResrPictureBlob *out, WebPDemuxer *demuxer, const char *name)
{
    WebPChunkIterator chunk;
    bool kept = true;
    if (WebPDemuxGetChunk(demuxer, name, 1, &chunk))
        kept = resr_picture_copy_block(out, chunk.chunk.bytes, chunk.chunk.size);
    WebPDemuxReleaseChunkIterator(&chunk);
    return kept;
}

/* Some writers add JPEG's header to EXIF. */
static void remove_exif_name(ResrPictureBlob *exif)
{
    if (exif->bytes <= 6 || memcmp(exif->data, "Exif\0\0", 6) != 0)
        return;
    exif->bytes -= 6;
    memmove(exif->data, exif->data + 6, exif->bytes);
}

static int read_pixels(ResrPictureSource *source, const WebPData *data, bool alpha)
{
    AVFrame *out = source->out;
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return resr_fail(RESR_ERR_INTERNAL, "libwebp is of another version than its header");
    config.output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->data[0];
    config.output.u.RGBA.stride = out->linesize[0];
    config.output.u.RGBA.size = (size_t)out->linesize[0] * (size_t)out->height;
    switch (WebPDecode(data->bytes, data->size, &config)) {
    case VP8_STATUS_OK:
        return 0;
    case VP8_STATUS_OUT_OF_MEMORY:
        return resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: a WebP picture", source->path);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return resr_picture_damaged(source, "WebP", "the file ends in the middle");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return resr_picture_damaged(source, "WebP", "it has a feature that libwebp does not know");
    default:
        return resr_picture_damaged(source, "WebP", "its data do not contain a picture");
    }
}

static int read_file(ResrPictureSource *source, const WebPData *data)
{
    ResrPictureTags *tags = source->tags;
    WebPDemuxState state;
    WebPDemuxer *demuxer = WebPDemuxPartial(data, &state);
    if (!demuxer || state != WEBP_DEMUX_DONE) {
        WebPDemuxDelete(demuxer);
        return resr_picture_damaged(source, "WebP",
                                    state == WEBP_DEMUX_PARSE_ERROR
                                        ? "its chunks are not in order"
                                        : "the file ends in the middle");
    }
    uint32_t flags = WebPDemuxGetI(demuxer, WEBP_FF_FORMAT_FLAGS);
    int frames = (int)WebPDemuxGetI(demuxer, WEBP_FF_FRAME_COUNT);
    WebPBitstreamFeatures features = {0};
    int ret = 0;
    if (flags & ANIMATION_FLAG)
        ret = resr_fail(RESR_ERR_DATA,
                        "%s: a WebP animation of %d pictures is not supported; convert the file to "
                        "a video or to .png first",
                        source->path, frames);
    else if (WebPGetFeatures(data->bytes, data->size, &features) != VP8_STATUS_OK)
        ret = resr_picture_damaged(source, "WebP", "it does not contain exactly one picture");
    else
        ret = resr_picture_create(source, (uint64_t)features.width, (uint64_t)features.height,
                                  features.has_alpha ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24);
    if (ret == 0 &&
        !(read_chunk(&tags->icc, demuxer, "ICCP") && read_chunk(&tags->exif, demuxer, "EXIF") &&
          read_chunk(&tags->xmp, demuxer, "XMP ")))
        ret = resr_fail(RESR_ERR_INTERNAL, "%s: out of memory: its EXIF", source->path);
    remove_exif_name(&tags->exif);
    WebPDemuxDelete(demuxer);
    if (ret == 0 && source->out)
        ret = read_pixels(source, data, features.has_alpha);
    return ret;
}

int resr_webp_read(ResrPictureSource *source)
{
    uint8_t *bytes = NULL;
    if (source->bytes < 0 || source->bytes > MAX_FILE_BYTES)
        return resr_fail(
            RESR_ERR_DATA,
            "%s: the WebP picture is larger than 1 GiB; convert the picture to .png first",
            source->path);
    int ret = resr_alloc_uninitialised(&bytes, (size_t)source->bytes + 1, 1);
    if (ret < 0)
        return ret;
    int n = avio_read(source->io, bytes, (int)source->bytes);
    WebPData data = {bytes, n > 0 ? (size_t)n : 0};
    ret = read_file(source, &data);
    free(bytes);
    return ret;
}

static int append(const uint8_t *data, size_t bytes, const WebPPicture *picture)
{
    return resr_picture_append(picture->custom_ptr, data, bytes);
}

static int failed(const char *what)
{
    return resr_fail(RESR_ERR_INTERNAL, "the WebP picture cannot be written: %s", what);
}

static int encode(ResrPictureTarget *target)
{
    const AVFrame *frame = target->frame;
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return failed("libwebp is of another version than its header");
    config.lossless = target->quality < 0;
    config.quality = target->quality < 0 ? 50 : (float)target->quality;
    config.exact = 1; /* keeps the colour of transparent pixels */
    config.method = target->quality < 0 ? 2 : 4;
    picture.use_argb = 1;
    picture.width = frame->width;
    picture.height = frame->height;
    picture.writer = append;
    picture.custom_ptr = target;
    int fine = frame->format == AV_PIX_FMT_RGBA
                   ? WebPPictureImportRGBA(&picture, frame->data[0], frame->linesize[0])
                   : WebPPictureImportRGB(&picture, frame->data[0], frame->linesize[0]);
    fine = fine && WebPEncode(&config, &picture);
    int code = picture.error_code;
    WebPPictureFree(&picture);
    if (fine)
        return 0;
    return failed(
        code == VP8_ENC_ERROR_OUT_OF_MEMORY || code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY
            ? "out of memory"
        : code == VP8_ENC_ERROR_PARTITION0_OVERFLOW || code == VP8_ENC_ERROR_PARTITION_OVERFLOW
            ? "too much detail for the format; use a lower --crf, or remove --crf"
            : "libwebp failed");
}

static bool put_chunk(WebPMux *mux, const char *name, const ResrPictureBlob *blob)
{
    WebPData data = {blob->data, blob->bytes};
    return blob->bytes == 0 || WebPMuxSetChunk(mux, name, &data, 0) == WEBP_MUX_OK;
}

/* Puts the encoded picture and its tags into the RIFF file. */
static int put_tags(ResrPictureTarget *target, const ResrPictureBlob *exif)
{
    WebPData image = {target->file.data, target->file.bytes}, all = {NULL, 0};
    WebPMux *mux = WebPMuxNew();
    const ResrPictureBlob none = {0};
    const ResrPictureBlob *icc = resr_picture_profile_fits(target) ? &target->tags->icc : &none;
    bool fine = mux && WebPMuxSetImage(mux, &image, 1) == WEBP_MUX_OK &&
                put_chunk(mux, "ICCP", icc) && put_chunk(mux, "EXIF", exif) &&
                put_chunk(mux, "XMP ", &target->tags->xmp) &&
                WebPMuxAssemble(mux, &all) == WEBP_MUX_OK;
    target->file.bytes = 0;
    fine = fine && resr_picture_append(target, all.bytes, all.size);
    WebPDataClear(&all);
    WebPMuxDelete(mux);
    return fine ? 0 : failed("out of memory");
}

int resr_webp_write(ResrPictureTarget *target)
{
    const ResrPictureTags *tags = target->tags;
    ResrPictureBlob made = {0};
    size_t others = tags->text_count;
    int ret = encode(target);
    if (ret == 0 && tags->exif.bytes == 0)
        ret = resr_exif_of_texts(&made, &others, tags);
    const ResrPictureBlob *exif = made.bytes > 0 ? &made : &tags->exif;
    if (ret == 0 && (tags->icc.bytes > 0 || exif->bytes > 0 || tags->xmp.bytes > 0))
        ret = put_tags(target, exif);
    free(made.data);
    if (others > 0)
        resr_picture_add_lost(target->lost, "texts");
    if (tags->density_x > 0)
        resr_picture_add_lost(target->lost, "resolution (dpi)");
    return ret;
}

void resr_webp_version(char *out, size_t out_bytes)
{
    int version = WebPGetEncoderVersion();
    snprintf(out, out_bytes, "libwebp %d.%d.%d", version >> 16, version >> 8 & 255, version & 255);
}

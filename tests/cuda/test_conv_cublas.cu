// Variant cublas against sums in double precision, and variant mma against variant cublas: the same
// calls, two independent ways. On emulated devices (EMU_KERNELS is set) the library is
// fake_cublaslt.
//
// Bounds, per value. Sums of K = 9 * cin products in fp32, in any order, are off by at most
// K * 2^-24 * (sum of |x * w|) [Higham, Accuracy and Stability, 3.1]; residuals shrink that by 0.2
// and add roundings of their own, below 2^-22 of the magnitudes that meet. fp16 outputs add half a
// unit: 2^-11 of the value, or 2^-25 below the normal range. Two variants may differ by twice that.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "conv.cuh"
#include "cublaslt.cuh"

namespace
{
int failures;
uint32_t seed = 1;

float uniform() // [-1, 1)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f;
}

void must(cudaError_t error, const char *what)
{
    if (error == cudaSuccess)
        return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
    exit(1);
}

// Device memory with a host image; `guard` elements of a known value follow.
template <typename T> struct Buffer {
    static constexpr size_t guard = 64;
    std::vector<T> host;
    T *device = nullptr;

    Buffer(size_t count, T fill) : host(count + guard, fill)
    {
        must(cudaMalloc(&device, host.size() * sizeof(T)), "cudaMalloc");
    }
    Buffer(const Buffer &) = delete;
    ~Buffer()
    {
        cudaFree(device);
    }
    void upload()
    {
        must(cudaMemcpy(device, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice),
             "upload");
    }
    void download()
    {
        must(cudaMemcpy(host.data(), device, host.size() * sizeof(T), cudaMemcpyDeviceToHost),
             "download");
    }
};

struct Case {
    int cin, cout, real_cin, real_cout, activation, upsample, tiles, height, width;
    bool trunk, base, add, out, out_f32;
};

// The inputs of a case, the same for every variant.
struct Inputs {
    std::vector<float> weights, bias, slope;
    std::vector<__half> in;
    std::vector<float> trunk, base, add;
};

struct Outputs {
    std::vector<__half> out;
    std::vector<float> trunk, out_f32;
};

const int pitch = 192, out_channel = 128;

long pixels_of(const Case &c)
{
    return (long)c.tiles * c.height * c.width;
}

void fill(std::vector<float> &v, size_t count, float scale)
{
    v.resize(count);
    for (float &f : v)
        f = uniform() * scale;
}

Inputs make_inputs(const Case &c)
{
    Inputs in;
    const long pixels = pixels_of(c);
    fill(in.weights, (size_t)c.real_cout * c.real_cin * 9, 0.1f);
    fill(in.bias, c.cout, 1);
    fill(in.slope, c.cout, 0.5f);
    fill(in.trunk, pixels * 64, 1);
    fill(in.base, pixels * 64, 1);
    fill(in.add, pixels * 64, 1);
    in.in.resize((pixels >> (2 * c.upsample)) * pitch);
    for (__half &h : in.in)
        h = __float2half_rn(uniform());
    return in;
}

// Channels that are not read hold NaN: 0 x NaN would show. Padded input channels are zero.
void prepare_in(Buffer<__half> &buffer, const Case &c, const Inputs &in)
{
    for (size_t i = 0; i < in.in.size(); i++) {
        const int channel = (int)(i % pitch);
        buffer.host[i] = channel < c.real_cin ? in.in[i]
                         : channel < c.cin    ? __float2half_rn(0)
                                              : __float2half_rn(NAN);
    }
    buffer.upload();
}

bool run_variant(const ConvVariant &variant, const Case &c, const Inputs &in, Outputs &result)
{
    const long pixels = pixels_of(c);
    const char *what = variant.name;
    Buffer<__half> x(in.in.size(), __float2half_rn(0)), out(pixels * pitch, __float2half_rn(7));
    Buffer<float> bias(c.cout, 0), slope(c.cout, 0), trunk(pixels * 64, 7), base(pixels * 64, 7),
        add(pixels * 64, 7), out_f32(pixels * 64, 7);
    prepare_in(x, c, in);
    std::copy(in.bias.begin(), in.bias.end(), bias.host.begin());
    std::copy(in.slope.begin(), in.slope.end(), slope.host.begin());
    std::copy(in.trunk.begin(), in.trunk.end(), trunk.host.begin());
    std::copy(in.base.begin(), in.base.end(), base.host.begin());
    std::copy(in.add.begin(), in.add.end(), add.host.begin());
    for (auto *b : {&bias, &slope, &trunk, &base, &add, &out_f32})
        b->upload();
    out.upload();
    Buffer<unsigned char> packed(variant.packed_bytes(c.cin, c.cout), 0);
    variant.pack(packed.host.data(), in.weights.data(), c.real_cin, c.real_cout, c.cin, c.cout);
    packed.upload();

    ConvCall call = {};
    call.in = x.device;
    call.in_pitch = call.out_pitch = pitch;
    call.out = c.out ? out.device : nullptr;
    call.out_channel = out_channel;
    call.cin = c.cin;
    call.cout = c.cout;
    call.weights = packed.device;
    call.bias = bias.device;
    call.slope = c.activation == CONV_PRELU ? slope.device : nullptr;
    call.activation = c.activation;
    call.trunk_in = call.trunk_out = c.trunk ? trunk.device : nullptr;
    call.base = c.base ? base.device : nullptr;
    call.add = c.add ? add.device : nullptr;
    call.out_f32 = c.out_f32 ? out_f32.device : nullptr;
    call.out_f32_pitch = 64;
    call.out_f32_count = c.cout < 16 ? c.cout : (c.real_cout + 3) / 4 * 4;
    call.upsample = c.upsample;
    call.tiles = c.tiles;
    call.height = c.height;
    call.width = c.width;
    const size_t scratch_bytes = variant.scratch_bytes ? variant.scratch_bytes(&call) : 0;
    if (scratch_bytes)
        must(cudaMalloc(&call.scratch, scratch_bytes), "scratch");
    cudaStream_t stream;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
    const int ret = variant.run(&call, stream);
    must(cudaStreamSynchronize(stream), what);
    cudaStreamDestroy(stream);
    cudaFree(call.scratch);
    out.download();
    trunk.download();
    out_f32.download();
    result.out = out.host;
    result.trunk = trunk.host;
    result.out_f32 = out_f32.host;
    return ret == 0;
}

// Sums in double precision: the value and the magnitudes that the bound needs.
struct Expected {
    double value, sum_bound;
};

Expected expect(const Case &c, const Inputs &in, long pixel, int co)
{
    const int x = (int)(pixel % c.width), y = (int)(pixel / c.width % c.height), u = c.upsample;
    const long tile = pixel / c.width / c.height;
    double v = in.bias[co], magnitude = std::fabs(v);
    for (int tap = 0; co < c.real_cout && tap < 9; tap++) {
        const int sx = x + tap % 3 - 1, sy = y + tap / 3 - 1;
        if (sx < 0 || sy < 0 || sx >= c.width || sy >= c.height)
            continue;
        const long source = (tile * (c.height >> u) + (sy >> u)) * (c.width >> u) + (sx >> u);
        for (int i = 0; i < c.real_cin; i++) {
            const float w = in.weights[((size_t)co * c.real_cin + i) * 9 + tap];
            const double product = (double)__half2float(in.in[source * pitch + i]) *
                                   (double)__half2float(__float2half_rn(w));
            v += product;
            magnitude += std::fabs(product);
        }
    }
    double bound = 9.0 * c.cin * std::ldexp(1, -24) * magnitude;
    if (v <= 0 && c.activation != CONV_NONE)
        v *= c.activation == CONV_LEAKY_RELU ? 0.2f : in.slope[co];
    const double residuals[] = {c.trunk ? in.trunk[pixel * 64 + co] : 0.0,
                                c.base ? in.base[pixel * 64 + co] : 0.0};
    if (c.trunk)
        v = 0.2f * v + residuals[0];
    if (c.base)
        v = 0.2f * v + residuals[1];
    if (c.add)
        v += in.add[pixel * 64 + co];
    bound += std::ldexp(std::fabs(v) + magnitude + 2, -22);
    return {v, bound};
}

double half_bound(const Expected &e)
{
    return e.sum_bound + std::ldexp(std::fabs(e.value), -11) + std::ldexp(1, -25);
}

bool within(double got, double expected, double bound)
{
    return std::fabs(got - expected) <= bound; // false for NaN
}

void describe(const Case &c, const char *what, long pixel, int co, double got, double expected)
{
    if (failures++ < 20)
        fprintf(stderr,
                "%s: %d->%d of %d->%d, activation %d, upsample %d, %d x %dx%d, trunk %d base %d "
                "add %d: pixel %ld channel %d is %g, expected %g\n",
                what, c.real_cin, c.real_cout, c.cin, c.cout, c.activation, c.upsample, c.tiles,
                c.width, c.height, c.trunk, c.base, c.add, pixel, co, got, expected);
}

// Memory that is not an output must still hold its 7s.
void check_untouched(const Case &c, const char *what, const Outputs &got)
{
    for (size_t i = 0; i < got.out.size(); i++) {
        const long channel = (long)(i % pitch) - out_channel;
        const bool written =
            c.out && i < (size_t)pixels_of(c) * pitch && channel >= 0 && channel < c.cout;
        if (!written && __half2float(got.out[i]) != 7)
            describe(c, what, (long)(i / pitch), (int)(i % pitch), __half2float(got.out[i]), 7);
    }
}

void check_case(const Case &c, const ConvVariant *const *variants, int count)
{
    const Inputs in = make_inputs(c);
    Outputs got[2];
    for (int r = 0; r < count; r++) {
        if (!run_variant(*variants[r], c, in, got[r])) {
            describe(c, variants[r]->name, -1, -1, -1, 0);
            return;
        }
        check_untouched(c, variants[r]->name, got[r]);
    }
    for (long pixel = 0; pixel < pixels_of(c); pixel++)
        for (int co = 0; co < c.cout; co++) {
            const Expected e = expect(c, in, pixel, co);
            double first = NAN;
            for (int r = 0; r < count; r++) {
                const char *name = variants[r]->name;
                const double half = __half2float(got[r].out[pixel * pitch + out_channel + co]);
                if (c.out && !within(half, e.value, half_bound(e)))
                    describe(c, name, pixel, co, half, e.value);
                const double trunk = got[r].trunk[pixel * 64 + co];
                if (c.trunk && !within(trunk, e.value, e.sum_bound))
                    describe(c, name, pixel, co, trunk, e.value);
                const double f32 = got[r].out_f32[pixel * 64 + co];
                if (c.out_f32 && co < c.real_cout && !within(f32, e.value, e.sum_bound))
                    describe(c, name, pixel, co, f32, e.value);
                if (c.out && r > 0 && !within(half, first, 2 * half_bound(e)))
                    describe(c, "between variants", pixel, co, half, first);
                first = half;
            }
        }
}

// The convolutions of the networks; combinations of a call's arguments; sizes from one pixel up.
const Case cases[] = {
    {64, 32, 64, 32, CONV_LEAKY_RELU, 0, 2, 9, 13, false, false, false, true, false},
    {96, 32, 96, 32, CONV_LEAKY_RELU, 0, 1, 1, 1, false, false, false, true, false},
    {128, 32, 128, 32, CONV_LEAKY_RELU, 0, 1, 17, 3, false, false, false, true, false},
    {160, 32, 160, 32, CONV_LEAKY_RELU, 0, 3, 2, 31, false, false, false, true, false},
    {192, 64, 192, 64, CONV_NONE, 0, 2, 7, 19, true, false, false, true, false},
    {192, 64, 192, 64, CONV_NONE, 0, 1, 16, 16, true, true, false, true, false},
    {16, 64, 3, 64, CONV_NONE, 0, 1, 11, 21, false, false, false, true, true},
    {16, 64, 12, 64, CONV_NONE, 0, 1, 33, 2, false, false, false, true, true},
    {64, 64, 64, 64, CONV_NONE, 0, 1, 5, 40, false, false, true, true, false},
    {64, 64, 64, 64, CONV_LEAKY_RELU, 1, 2, 14, 6, false, false, false, true, false},
    {64, 64, 64, 64, CONV_PRELU, 0, 1, 8, 24, false, false, false, true, false},
    {64, 48, 64, 48, CONV_NONE, 0, 1, 12, 10, false, false, false, false, true},
    {64, 16, 64, 12, CONV_NONE, 0, 1, 6, 34, false, false, false, false, true},
    {64, 16, 64, 3, CONV_NONE, 0, 1, 23, 5, false, false, false, false, true},
};

void refuses_a_failing_library()
{
    const Case c = cases[0];
    const Inputs in = make_inputs(c);
    Outputs got;
    setenv("RESR_FAKE_FAIL", "1", 1);
    if (run_variant(conv_variant_cublas, c, in, got)) {
        fprintf(stderr, "a failing product was not reported\n");
        failures++;
    }
    unsetenv("RESR_FAKE_FAIL");
}
} // namespace

int main()
{
    const ConvVariant *const variants[] = {&conv_variant_cublas, &conv_variant_mma};
    const char *why;
    const char *const stand_in = getenv("RESR_FAKE_CUBLASLT");
    const bool is_fake = getenv("EMU_KERNELS") && stand_in; // on_device.sh has made it ours
    int devices = 0, major = 0, minor = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        fprintf(stderr, "no device\n");
        return getenv("CI") ? 1 : 77;
    }
    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "capability");
    must(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0), "capability");
    if (!conv_variant_cublas.available(10 * major + minor, &why)) {
        fprintf(stderr, "cublas: %s\n", why);
        return 1;
    }
    const size_t whole = resr_cublas_piece_bytes;
    for (const Case &c : cases) {
        check_case(c, variants, 2);
        resr_cublas_piece_bytes = 37 * 1024; // pieces that end within rows
        check_case(c, variants, 1);
        resr_cublas_piece_bytes = whole;
    }
    if (is_fake)
        refuses_a_failing_library();
    printf("%d failures\n", failures);
    return failures != 0;
}

// Sums of squares of many fp32 tensors in two launches, in double precision and always in the same order.
//
// Plain C ABI: no torch headers, so that it compiles in seconds and loads beside any build of torch. All pointers but
// `stream` are device memory. A block sums one chunk; chunks of one tensor are neighbours, and a warp adds them up.
// Why not Triton: an accumulator in double precision beside 16-byte loads at addresses that are only known to be
// multiples of 4 needs a scalar head and tail per chunk.

#include <cstdint>
#include <cuda_runtime.h>

namespace {

constexpr int kThreads = 512;

__device__ double warp_sum(double value) {
  for (int offset = 16; offset; offset >>= 1) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

__device__ double square(float4 x) {
  // Four exact products: a float squared fits into a double.
  const double a = x.x, b = x.y, c = x.z, d = x.w;
  return (a * a + b * b) + (c * c + d * d);
}

__global__ void __launch_bounds__(kThreads)
chunk_sums(const int64_t* __restrict__ addresses, const int64_t* __restrict__ sizes,
           const int64_t* __restrict__ tensor_of, const int64_t* __restrict__ start_of, int64_t chunk,
           double* __restrict__ partial) {
  const int64_t tensor = tensor_of[blockIdx.x], start = start_of[blockIdx.x];
  const float* x = reinterpret_cast<const float*>(addresses[tensor]) + start;
  const int64_t count = min(chunk, sizes[tensor] - start);
  const int64_t head = min(count, int64_t((16 - (reinterpret_cast<uintptr_t>(x) & 15)) & 15) / 4);
  const int64_t wide = (count - head) / 4;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < head; i += kThreads) sum += double(x[i]) * x[i];
  const float4* body = reinterpret_cast<const float4*>(x + head);
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < wide; i += kThreads) sum += square(__ldg(body + i));
  for (int64_t i = head + 4 * wide + threadIdx.x; i < count; i += kThreads) sum += double(x[i]) * x[i];

  __shared__ double warps[kThreads / 32];
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = warp_sum(threadIdx.x < kThreads / 32 ? warps[threadIdx.x] : 0.0);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  }
}

__global__ void tensor_sums(const double* __restrict__ partial, const int64_t* __restrict__ sizes, int64_t chunk,
                            const int64_t* __restrict__ first_of, double* __restrict__ out) {
  const int64_t first = first_of[blockIdx.x], chunks = (sizes[blockIdx.x] + chunk - 1) / chunk;
  double sum = 0;
  for (int64_t i = threadIdx.x; i < chunks; i += 32) sum += partial[first + i];
  sum = warp_sum(sum);
  if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

}  // namespace

// out[t] = sum of squares of tensor t, for `tensors` tensors cut into `chunks` chunks of `chunk` numbers.
// addresses, sizes, first_of (tensors); tensor_of, start_of, partial (chunks). Returns a cudaError_t.
extern "C" int taixue_square_sums(const int64_t* addresses, const int64_t* sizes, const int64_t* tensor_of,
                                  const int64_t* start_of, const int64_t* first_of, int64_t chunk, int64_t tensors,
                                  int64_t chunks, double* partial, double* out, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  if (chunks > 0) chunk_sums<<<chunks, kThreads, 0, queue>>>(addresses, sizes, tensor_of, start_of, chunk, partial);
  if (tensors > 0) tensor_sums<<<tensors, 32, 0, queue>>>(partial, sizes, chunk, first_of, out);
  return cudaGetLastError();
}

/* lathe: linear attention and its relatives, ahead-of-time compiled.
 *
 * A call is a plan (what to compute, on which shapes: every decision is taken once) and a run (which buffers).
 * Every function returns a status; none prints, aborts, throws, or touches a byte outside the tensors it was given.
 * The definitions of the operators are those of docs/operators.md.                                                  */
#ifndef LATHE_H
#define LATHE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) || defined(__CYGWIN__)
#define LATHE_API
#else
#define LATHE_API __attribute__((visibility("default")))
#endif

#define LATHE_VERSION_MAJOR 0
#define LATHE_VERSION_MINOR 1
#define LATHE_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lathe_context lathe_context; /* threads, scratch memory, the last error; one caller at a time       */
typedef struct lathe_plan lathe_plan;       /* immutable; any number of threads may run it, each with its context */

typedef int32_t lathe_status;
enum {
  LATHE_OK = 0,
  LATHE_INVALID = 1,     /* an argument is wrong: lathe_last_error says which, what was expected and what came */
  LATHE_UNSUPPORTED = 2, /* a legal request that this build or machine has no kernel for, and why              */
  LATHE_NO_MEMORY = 3,
  LATHE_WORKSPACE = 4, /* the workspace of lathe_exec is too small or misaligned */
  LATHE_DEVICE = 5,
  LATHE_INTERNAL = 6
};

/* The layout of DLPack's DLTensor, field for field. Strides count elements; NULL strides mean compact row-major. */
typedef struct {
  void* data;
  int32_t device_type; /* 1 = CPU; 2 = CUDA; 4 = OpenCL, and data is a cl_mem: docs/gpu.md */
  int32_t device_id;
  int32_t ndim;
  uint8_t code; /* 0 int, 1 uint, 2 float, 4 bfloat */
  uint8_t bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} lathe_tensor;

/* What a tensor is to the operator. Sizes: B batch, T tokens, HQ/HK/HV heads, D head width, K key width after the
 * feature map, V value width, N sequences, M projection columns. Float means float32, float16 or bfloat16.       */
enum {
  LATHE_Q = 1,           /* float [B,T,HQ,D]                                                            */
  LATHE_K = 2,           /* float [B,T,HK,D], or [B,T,HK,M,D] beside MIXTURE                            */
  LATHE_V = 3,           /* float [B,T,HV,V]                                                            */
  LATHE_O = 4,           /* float [B,T,max(HQ,HV),V]                                                    */
  LATHE_STATE_IN = 5,    /* float32 [N,max(HK,HV),K,V], inner two contiguous; absent = zero             */
  LATHE_STATE_OUT = 6,   /* the same; may be the very tensor of STATE_IN; absent = dropped              */
  LATHE_Z_IN = 7,        /* float32 [N,HK,K]: the normaliser's running sum of mapped keys               */
  LATHE_Z_OUT = 8,       /* the same                                                                    */
  LATHE_STABILISER = 9,  /* float32 [N,HK], in and out (gradients: in): running maximum of FAVOR+ keys  */
  LATHE_LENGTHS = 10,    /* int32 or int64 [B]: keys of each row that count, and queries where there are as many;
                            outputs past it are zero                                                    */
  LATHE_CU_SEQLENS = 11, /* int32 or int64 [N+1]: sequence n is tokens [c[n],c[n+1]) of a B=1 tensor    */
  LATHE_SLOTS = 12,      /* int32 or int64 [N]: row of the state tensors that sequence n uses           */
  LATHE_POSITION = 13,   /* int32 or int64 [N]: position of the first token (cosFormer)                 */
  LATHE_PROJECTION = 14, /* float32 [M,D] or [HQ,M,D]: the rows w of FAVOR+, RFF, Hedgehog              */
  LATHE_SNAPSHOTS = 15,  /* float32 [B,T,max(HK,HV),K,V]: the state after each token (decode)           */
  LATHE_GATE = 16,       /* float [B,T,max(HK,HV)]: log of what a token leaves of the state, <= 0;
                            [B,T,max(HK,HV),K] with a gate for each key dimension, which are dense       */
  LATHE_DECAY = 17,      /* float32 [max(HK,HV)]: log of the decay per token, <= 0 */
  LATHE_BETA = 18,       /* float [B,T,max(HK,HV)]: how far a token goes from what the state has for its key to its
                            own value (the delta rule), 0 to 1                                    */
  LATHE_BONUS = 19,      /* float32 [max(HK,HV),K]: weight of a token's own key (RWKV-6) */
  LATHE_DT = 20,         /* float [B,T,max(HK,HV)]: a token's step (Mamba-2), >= 0              */
  LATHE_DT_BIAS = 21,    /* float32 [max(HK,HV)]: added to DT; absent = 0                       */
  LATHE_SKIP = 22,       /* float32 [max(HK,HV)]: O += SKIP V; absent = 0                       */
  LATHE_OUT_GATE = 23,   /* float, as O: O *= silu(OUT_GATE), last                              */
  LATHE_A = 24,          /* float [B,T,max(HK,HV),K]: what is read of the state before the token (RWKV-7) ...         */
  LATHE_B = 25,          /* the same: ... and the row that it is added by; the keys of both are dense                 */
  LATHE_STEP_SIZE = 26,  /* float32 [max(HK,HV)]: how much of a token the momentum of a state takes, whose log decay is
                            DECAY, if it does not adapt                                                              */
  LATHE_MOMENTUM_IN = 27, /* float32 [N,max(HK,HV),K,V], as STATE_IN: the momentum of the states, absent = zero       */
  LATHE_MOMENTUM_OUT = 28,   /* the same, as STATE_OUT */
  LATHE_MIXTURE = 29,        /* float32 [HK,M]: each token has M keys, and these weights; K is then [B,T,HK,M,D] */
  LATHE_LAST_TOKEN_IN = 30,  /* float32 [N,max(HK,HV),K+V]: the mapped key of the token before the first, and its value
                                behind it; with a MOMENTUM_IN that adapts to its tokens                              */
  LATHE_LAST_TOKEN_OUT = 31, /* the same of the last token, with MOMENTUM_OUT */

  LATHE_GRAD = 1 << 16 /* LATHE_GRAD | role is its gradient, with the role's own shape: of O, STATE_OUT and Z_OUT it
                          comes in, of the others it goes out                                         */
};

typedef struct {
  uint32_t role;
  const lathe_tensor* tensor; /* the tensor is read during the call only */
} lathe_arg;

typedef struct {
  const char* name;
  double value;
} lathe_attr;

enum {
  LATHE_NORMALISE = 1,      /* divide by q.z + eps                                                                   */
  LATHE_DENOM_MAX = 2,      /* ... by max(q.z, eps) instead (cosFormer)                                              */
  LATHE_HEADS_TILED = 4,    /* head h of the larger side uses head h mod n of the smaller; without it h / (group)    */
  LATHE_STABILISE = 8,      /* FAVOR+: subtract the running maximum of the keys, kept in LATHE_STABILISER            */
  LATHE_CLAMP_GATES = 16,   /* a GATE or DECAY above 0, or a step below it, counts as 0; else such a call is refused */
  LATHE_SOFTPLUS = 32,      /* a step is log(1 + exp(DT + DT_BIAS)) instead of DT + DT_BIAS                          */
  LATHE_UNIT_KEYS = 64,     /* the delta rule: a mapped key is divided by its length, sqrt(k.k + eps)                */
  LATHE_UNIT_QUERIES = 128, /* ... and a mapped query by its own, before scale                                     */
  LATHE_SIGMOID = 256,      /* BETA is what a sigmoid is taken of                                                  */
  LATHE_REFLECT = 512,      /* betas reach 2: negative eigenvalues; with LATHE_SIGMOID they are twice its value    */
  LATHE_MIX_FIRST = 2048    /* keys of a mixture are summed before the map, not their features after it */
};

/* op: "causal" | "noncausal" | "accumulate" | "readout" | "decode" | "causal_backward" | ...; variant: "plain" |
 * "decay" | ...; map: "elu1" | ... (lathe_list names them all). NULL variant = "plain", NULL map = "identity". scale
 * multiplies mapped queries. */
typedef struct {
  uint32_t size; /* sizeof(lathe_desc): later versions append, and what this one does not know must be zero */
  const char *op, *variant, *map;
  float scale, eps;
  uint64_t flags;
  const lathe_attr* attrs;
  size_t n_attrs;
} lathe_desc;

/* Where tensors are a device's, the workspace is too, and must be given: the library allocates nothing
 * there. Tensors of whole numbers (LENGTHS, CU_SEQLENS, SLOTS, POSITION) stay the host's, and may be gone when
 * lathe_run returns. */
typedef struct {
  uint32_t size;
  void* workspace; /* 64-byte aligned, lathe_plan_workspace bytes, no tensor's memory; NULL = the context's own */
  size_t workspace_bytes;
  void *device_context, *stream; /* a CUstream (NULL is the default one) and its CUcontext (NULL: the current one), or a
                                    cl_command_queue, which must work in order, and its cl_context or NULL */
} lathe_exec;

typedef struct {
  uint32_t size;
  int threads; /* 0 = as many as the calling thread may run on */
  void* user;  /* passed to the functions below; each of them may be NULL */
  void* (*alloc)(void* user, size_t bytes, size_t alignment);
  void (*dealloc)(void* user, void* pointer, size_t bytes);
  void (*parallel_for)(void* user, int n, void (*task)(void* closure, int i), void* closure);
} lathe_config;

/* config NULL = all defaults. */
LATHE_API lathe_status lathe_context_create(const lathe_config* config, lathe_context** context);
LATHE_API void lathe_context_destroy(lathe_context* context);

/* Takes every decision for calls of these shapes. Only shape, strides and dtype of the arguments are read, never data;
 * an extent of -1 (batch, tokens or sequences) is free, and then so are the strides of its tensor. */
LATHE_API lathe_status lathe_plan_create(lathe_context* context, const lathe_desc* desc, const lathe_arg* args,
                                         size_t n_args, lathe_plan** plan);
LATHE_API void lathe_plan_destroy(lathe_plan* plan);

/* Bytes of workspace that lathe_run needs for these arguments on this plan's threads. */
LATHE_API lathe_status lathe_plan_workspace(const lathe_plan* plan, const lathe_arg* args, size_t n_args,
                                            size_t* bytes);

/* Computes. Outputs are complete when it returns; those of a device when the stream has come so far, and what goes
 * wrong until then is the stream's. exec NULL = all defaults. */
LATHE_API lathe_status lathe_run(lathe_context* context, const lathe_plan* plan, const lathe_arg* args, size_t n_args,
                                 const lathe_exec* exec);

/* JSON text. *need is set to the bytes it takes with its final zero; what does not fit in cap is cut. */
LATHE_API lathe_status lathe_describe(const lathe_plan* plan, char* json, size_t cap, size_t* need);
/* what: "ops" | "variants" | "maps" | "dtypes" | "targets" | "kernels" */
LATHE_API lathe_status lathe_list(const char* what, char* json, size_t cap, size_t* need);

/* Runs every kernel of the row that this machine takes on small problems, in about a second, and compares with
 * plain loops: for a process that wants to know when it starts that this library is right for its processor.
 * LATHE_INTERNAL and the first fault in lathe_last_error(context) if it is not. JSON as above: the row, and what was
 * compared.           */
LATHE_API lathe_status lathe_self_test(lathe_context* context, char* json, size_t cap, size_t* need);

/* Random features: rows of norm sqrt(d) (unit_norms = 1) or chi_d norms (0), orthogonal in blocks of d rows
 * (orthogonal = 1) or independent N(0,1). out: float32 [m,d], compact. The same seed gives the same bits everywhere. */
LATHE_API lathe_status lathe_draw_projection(uint64_t seed, int orthogonal, int unit_norms, int64_t m, int64_t d,
                                             float* out);
/* K, the width of the map's output, for head width d and m projection rows (0 where the map has none). */
LATHE_API lathe_status lathe_map_width(const char* map, int64_t d, int64_t m, const lathe_attr* attrs, size_t n_attrs,
                                       int64_t* k);

/* The text of the last failure in this context (of context creation: pass NULL; that text is per thread). Never NULL.
 */
LATHE_API const char* lathe_last_error(const lathe_context* context);
LATHE_API const char* lathe_version(void);

#ifdef __cplusplus
}
#endif
#endif

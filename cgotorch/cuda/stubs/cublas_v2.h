// cublas_v2.h: the names that libtorch's headers need of cuBLAS, whose own headers come with 400 MB of libraries.
// Nothing here calls it.
#pragma once

typedef struct cublasContext* cublasHandle_t;
typedef int cublasStatus_t;

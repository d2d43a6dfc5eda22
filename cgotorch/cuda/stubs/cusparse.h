// cusparse.h: the names that libtorch's headers want of cuSPARSE; see cublas_v2.h.
#pragma once

typedef struct cusparseContext* cusparseHandle_t;
typedef int cusparseStatus_t;

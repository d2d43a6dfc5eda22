// cusolver_common.h: the names that libtorch's headers want of cuSOLVER; see cublas_v2.h.
#pragma once

typedef int cusolverStatus_t;

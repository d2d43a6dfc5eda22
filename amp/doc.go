// Package amp is mixed precision: Autocast runs operations in 16 bits where that is safe, GradScaler keeps
// the small gradients of float16 from vanishing, and a Precision is the policy that lite applies to a model
// under one name ("32-true", "bf16-mixed" …). Everything works on the CPU as well as on CUDA.
package amp

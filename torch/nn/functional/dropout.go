package functional

import (
	"github.com/golite/golite/torch"
	"github.com/golite/golite/torch/aten"
)

func probability(operation string, p float64) {
	if !(p >= 0 && p <= 1) {
		torch.Fail(operation, "a probability must be between 0 and 1, got %g", p)
	}
}

// Dropout, when training, makes each element zero with probability p and divides the others by 1-p
// (torch.nn.functional.dropout).
func Dropout(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	probability("F.Dropout", p)
	return aten.Dropout(x, p, training)
}

// Dropout_ is Dropout in place, and returns x (torch.nn.functional.dropout with inplace=True).
func Dropout_(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	probability("F.Dropout_", p)
	return aten.Dropout_(x, p, training)
}

// Dropout1d makes whole channels of x [N, C, L] or [C, L] zero (torch.nn.functional.dropout1d).
func Dropout1d(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	return channelDropout("F.Dropout1d", x, p, training, 3)
}

// Dropout2d makes whole channels of x [N, C, H, W] zero. An x of 3 dimensions is taken as [N, C, L], as PyTorch does
// (torch.nn.functional.dropout2d).
func Dropout2d(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	probability("F.Dropout2d", p)
	return aten.FeatureDropout(x, p, training)
}

// Dropout3d makes whole channels of x [N, C, D, H, W] or [C, D, H, W] zero (torch.nn.functional.dropout3d).
func Dropout3d(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	return channelDropout("F.Dropout3d", x, p, training, 5)
}

func channelDropout(operation string, x *torch.Tensor, p float64, training bool, batched int) *torch.Tensor {
	probability(operation, p)
	switch d := x.Dim(); d {
	case batched:
		return aten.FeatureDropout(x, p, training)
	case batched - 1:
		return aten.SqueezeDim(aten.FeatureDropout(aten.Unsqueeze(x, 0), p, training), 0)
	default:
		torch.Fail(operation, "want an input of %d or %d dimensions, got %v", batched-1, batched, x.Shape())
		return nil
	}
}

// AlphaDropout is dropout that keeps the mean and variance of SELU's results (torch.nn.functional.alpha_dropout).
func AlphaDropout(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	probability("F.AlphaDropout", p)
	return aten.AlphaDropout(x, p, training)
}

// FeatureAlphaDropout is AlphaDropout of whole channels (torch.nn.functional.feature_alpha_dropout).
func FeatureAlphaDropout(x *torch.Tensor, p float64, training bool) *torch.Tensor {
	probability("F.FeatureAlphaDropout", p)
	return aten.FeatureAlphaDropout(x, p, training)
}

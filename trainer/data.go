package trainer

import (
	"context"
	"errors"

	"github.com/golite/golite/torch/data"
)

// The loaders of a stage. A data module (LightningDataModule) is any type with the methods of the stages that it
// serves; Data is one made of loaders. Loaders are given as the program made them: the Trainer sets them up.
//
// A training set of two loaders is data.Zip of them. Of several validation, test or prediction loaders each is run after
// the other: see LoaderIdx.
type (
	// TrainData has the loader of training (train_dataloader).
	TrainData[B any] interface {
		TrainDataLoader(t *Trainer) (*data.Loader[B], error) // called once in a Fit, or as Options.ReloadEvery has it
	}
	// ValData has the loaders of validation (val_dataloader).
	ValData[B any] interface {
		ValDataLoaders(t *Trainer) ([]*data.Loader[B], error) // one or more
	}
	// TestData has the loaders of Test (test_dataloader).
	TestData[B any] interface {
		TestDataLoaders(t *Trainer) ([]*data.Loader[B], error) // one or more
	}
	// PredictData has the loaders of Predict (predict_dataloader).
	PredictData[B any] interface {
		PredictDataLoaders(t *Trainer) ([]*data.Loader[B], error) // one or more
	}
)

// DataPreparer is a data module or a module that downloads or builds what it reads: PrepareData is called on the first
// rank of each node, while the others wait, before Setup (prepare_data).
type DataPreparer interface {
	PrepareData(ctx context.Context) error // must not change the value: other ranks do not call it
}

// Data is a data module of one loader for each stage.
type Data[B any] struct{ Train, Val, Test, Predict *data.Loader[B] }

// TrainDataLoader returns Train.
func (d Data[B]) TrainDataLoader(*Trainer) (*data.Loader[B], error) {
	if d.Train == nil {
		return nil, errors.New("trainer: the Data has no Train loader, which Fit reads")
	}
	return d.Train, nil
}

// ValDataLoaders returns Val, or none.
func (d Data[B]) ValDataLoaders(*Trainer) ([]*data.Loader[B], error) { return listOf(d.Val), nil }

// TestDataLoaders returns Test, or none.
func (d Data[B]) TestDataLoaders(*Trainer) ([]*data.Loader[B], error) { return listOf(d.Test), nil }

// PredictDataLoaders returns Predict, or none.
func (d Data[B]) PredictDataLoaders(*Trainer) ([]*data.Loader[B], error) {
	return listOf(d.Predict), nil
}

func listOf[B any](l *data.Loader[B]) []*data.Loader[B] {
	if l == nil {
		return nil
	}
	return []*data.Loader[B]{l}
}

package nearest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHint(t *testing.T) {
	names := []string{"OnTrainStart", "OnTrainEnd", "OnTrainEpochEnd"}
	for name, want := range map[string]string{
		"OnTrainStrt":      " (did you mean OnTrainStart?)",
		"ontrainend":       " (did you mean OnTrainEnd?)",
		"OnTrainEpochsEnd": " (did you mean OnTrainEpochEnd?)",
		"OnFire":           "",
		"":                 "",
	} {
		require.Equal(t, want, Hint(name, names), name)
	}
	require.Empty(t, Hint("OnTrainEnd", nil))
}

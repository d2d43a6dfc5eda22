package statekeys_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/internal/statekeys"
	"github.com/golite/golite/torch"
)

// dict has tensors that are numbered in the order of the names.
func dict(names string) *torch.StateDict {
	sd := &torch.StateDict{}
	for i, name := range strings.Fields(names) {
		sd.Set(name, torch.Full(float64(i)))
	}
	return sd
}

func TestUnwrap(t *testing.T) {
	for _, c := range []struct{ saved, own, want string }{
		{"w b", "w b", "w b"},
		{"_orig_mod.w _orig_mod.b", "w b", "w b"},
		{"a._orig_mod.w b", "a.w b", "a.w b"},
		{"a._orig_mod._orig_mod.w b", "a.w b", "a.w b"},
		{"module.w module.b", "w b", "w b"},
		{"module.module.w module.module.b", "w b", "w b"},
		{"module._orig_mod.w module._orig_mod.b", "w b", "w b"},
		{"_orig_mod.module.w _orig_mod.module.b", "w b", "w b"},
		{"module.a._orig_mod.w module.b", "a.w b", "a.w b"},
		{"n_averaged module.w module.b", "w b", "w b"},
		{"module.n_averaged module.module.w module.module.b", "w b", "w b"},
		{"_orig_mod.n_averaged _orig_mod.module.w", "w", "w"},
		// The model's own names stay, and what has other keys beside.
		{"module.w module.b", "module.w module.b", "module.w module.b"},
		{"module.module.w module.module.b", "module.w module.b", "module.w module.b"},
		{"module.w module.module.w", "w module.w", "w module.w"},
		{"n_averaged module.w", "n_averaged module.w", "n_averaged module.w"},
		{"module.n_averaged module.module.w", "n_averaged module.w", "n_averaged module.w"},
		{"_orig_mod.w", "_orig_mod.w", "_orig_mod.w"},
		{"module.w b", "w b", "module.w b"},
		{"module.w extra module.b", "w b", "module.w extra module.b"},
		{"_orig_mod.w w", "w", "_orig_mod.w w"},
		{"module.x", "w", "module.x"},
		{"n_averaged", "w", "n_averaged"},
		{"module.", "w", "module."},
		{"modulew _orig_modb", "w b", "modulew _orig_modb"},
		{"", "w", ""},
	} {
		t.Run(fmt.Sprint(c.saved, " for ", c.own), func(t *testing.T) {
			saved := dict(c.saved)
			got := statekeys.Unwrap(saved, func() []string { return strings.Fields(c.own) })
			require.Equal(t, strings.Fields(c.want), append([]string{}, got.Keys()...))
			skipped := saved.Len() - got.Len() // n_averaged comes first
			for i, key := range saved.Keys()[skipped:] {
				from, _ := saved.Get(key)
				to, _ := got.Get(got.Keys()[i])
				require.Same(t, from, to)
			}
		})
	}
}

func TestRename(t *testing.T) {
	sd := dict("enc.w enc.b head")
	got, err := statekeys.Rename(sd, func(key string) string {
		if key == "head" {
			return ""
		}
		return strings.TrimPrefix(key, "enc.")
	})
	require.NoError(t, err)
	require.Equal(t, []string{"w", "b"}, got.Keys())
	_, err = statekeys.Rename(sd, func(string) string { return "x" })
	require.ErrorContains(t, err, `Rename gives the keys "enc.w" and "enc.b" the same name, "x"`)
	same, err := statekeys.Rename(sd, nil)
	require.NoError(t, err)
	require.Same(t, sd, same)
}

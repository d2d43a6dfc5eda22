package accelerator

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzDevices(f *testing.F) {
	for _, s := range []string{"", "0", "2", "1,", "1, 4", "-1", "auto", "-1,", ",", "1,1", "0x1", "9999999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		spec, err := Devices(s).Parse()
		if err != nil {
			return
		}
		switch spec.Kind {
		case Count:
			again, err := DeviceCount(spec.Count).Parse()
			require.NoError(t, err)
			require.Equal(t, spec, again)
		case List:
			again, err := DeviceList(spec.List...).Parse()
			require.NoError(t, err)
			require.Equal(t, spec, again)
		}
	})
}

package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFirstHost(t *testing.T) {
	for list, want := range map[string]string{
		"host[5-9,1]":          "host5",
		"1.2.3.[089, 100-110]": "1.2.3.089",
		"alpha[3,1], beta":     "alpha3",
		"a,b":                  "a",
		"a b":                  "a",
		"n[7]":                 "n7",
		"r[1-2]n[08-10]":       "r1n08",
		"127.0.0.1":            "127.0.0.1",
		"n[1-4294967295]":      "n1",
	} {
		got, err := FirstHost(list)
		require.NoError(t, err, list)
		require.Equal(t, want, got, list)
	}
}

func TestHosts(t *testing.T) {
	got, err := Hosts("a[08-10,3]-ib,b r[1-2]n[1,2]")
	require.NoError(t, err)
	require.Equal(t, []string{"a08-ib", "a09-ib", "a10-ib", "a3-ib", "b", "r1n1", "r1n2", "r2n1", "r2n2"}, got)
	for _, bad := range []string{"", " ,", "a[1", "a]1", "a[[1]]", "a[]", "a[x]", "a[5-1]", "a[1-2-3]", "a[1-99999999]", "a[-1]"} {
		_, err := Hosts(bad)
		require.Error(t, err, bad)
		require.Contains(t, err.Error(), "node list", bad)
	}
}

func FuzzHosts(f *testing.F) {
	for _, s := range []string{"host[5-9,1]", "1.2.3.[089, 100-110]", "a[1-2][3-4],b", "a[", "[]", "a[1-99999999]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := Hosts(list)
		if err != nil {
			return
		}
		require.NotEmpty(t, hosts)
		require.LessOrEqual(t, len(hosts), maxHosts)
		first, err := FirstHost(list)
		require.NoError(t, err)
		require.Equal(t, hosts[0], first)
		for _, h := range hosts {
			require.NotEmpty(t, h)
			require.NotContains(t, h, "[")
		}
	})
}

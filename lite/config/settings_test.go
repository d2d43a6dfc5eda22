package config

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/golite/golite/lite/cluster"
)

// notSettings are the fields of Config that only code can give.
var notSettings = []string{"Plugins", "Logger", "Callbacks", "Loggers", "Output"}

func TestTableHasEverySetting(t *testing.T) {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.IsExported() {
			fields[f.Name] = true
		}
	}
	for _, name := range notSettings {
		require.True(t, fields[name], name)
		delete(fields, name)
	}
	for _, s := range table {
		require.True(t, fields[s.field], s.field)
		delete(fields, s.field)
	}
	require.Empty(t, fields, "fields that are neither in the table nor in notSettings")
}

// TestEverySettingFromEveryPlace: each place sets each field to the same value.
func TestEverySettingFromEveryPlace(t *testing.T) {
	texts := map[string]string{"accelerator": "cpu", "strategy": "ddp", "devices": "2", "gpus": "1,", "tpu_cores": "8", "num_nodes": "3",
		"precision": "64", "timeout": "7m0s", "debug": "true", "prefix_output": "true"}
	require.Len(t, texts, len(table))
	for _, s := range table {
		text := texts[s.key]
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		var given Config
		given.RegisterFlags(fs)
		require.NoError(t, fs.Parse([]string{"-" + s.flag() + "=" + text}))
		var code Config
		s.of(&code).Set(s.of(&given.flags.Config))

		file, err := parseFile("c.yaml", fmt.Appendf(nil, "%s: %q", s.key, text))
		require.NoError(t, err)
		environment, err := fromEnvironment(cluster.Map(map[string]string{s.variable(): text}))
		require.NoError(t, err)
		fields, err := fromFields(code)
		require.NoError(t, err)
		for place, l := range map[string]layer{"-" + s.flag(): given.flags.layer, "c.yaml": file, s.variable(): environment, "Config." + s.field: fields} {
			require.Equal(t, map[string]string{s.key: place}, l.from)
			require.Equal(t, text, fmt.Sprint(s.of(&l.Config).Interface()), place)
			l.Config.flags = nil
			require.Equal(t, code, l.Config, place)
			all := newLayer()
			all.overrideWith(l)
			require.Equal(t, l, all, place)
		}
		require.NotEmpty(t, fs.Lookup(s.flag()).Usage)
	}
}

// TestFlagDefaults: the help text shows the Config's own fields.
func TestFlagDefaults(t *testing.T) {
	c := Config{Accelerator: "gpu", Devices: "2", NumNodes: 3, Debug: true}
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	c.RegisterFlags(fs)
	defaults := map[string]string{}
	fs.VisitAll(func(f *flag.Flag) { defaults[f.Name] = f.DefValue })
	require.Equal(t, map[string]string{"accelerator": "gpu", "strategy": "", "devices": "2", "gpus": "", "tpu-cores": "", "num-nodes": "3",
		"precision": "", "timeout": "5m0s", "debug": "true", "prefix-output": "", "config": ""}, defaults)
}

// settingsTable is the table as text: columns of a comment, or of a Markdown page.
func settingsTable(row func(field, key, variable, flag string) string) string {
	var b strings.Builder
	for _, s := range table {
		b.WriteString(row(s.field, s.key, s.variable(), "-"+s.flag()))
	}
	return b.String()
}

// TestDocumentedSettings: Config's comment and docs/configuration.md have the table's rows.
func TestDocumentedSettings(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	comment := ""
	for _, d := range f.Comments {
		comment += d.Text()
	}
	require.Contains(t, comment, settingsTable(func(field, key, variable, flag string) string {
		return fmt.Sprintf("\t%-12s  %-15s  %-18s  %s\n", field, key, variable, flag)
	}))
	page, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	require.Contains(t, string(page), settingsTable(func(field, key, variable, flag string) string {
		return fmt.Sprintf("| `%s` | `%s` | `%s` | `%s` |\n", field, key, variable, flag)
	}))
}

func FuzzSettings(f *testing.F) {
	for _, s := range []string{"", "0", "auto", "true", "5m", "-1s", "1, 4", "0x1", "ddp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range table {
			l := newLayer()
			if s.set(&l, text, "a test") != nil {
				continue
			}
			again := newLayer()
			require.NoError(t, s.set(&again, fmt.Sprint(s.of(&l.Config).Interface()), "a test"), s.key)
			require.Equal(t, l, again, s.key)
		}
	})
}

func FuzzFile(f *testing.F) {
	for _, s := range []string{"", "devices: 2", "devices: [1, 4]", "gpus: -1\nstrategy: ddp", "timeout: 5m", "debug: on", "a: &a [*a]", "devices: [", "- 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseFile("c.yaml", raw)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		for key, from := range l.from {
			require.Contains(t, keys(), key)
			require.Equal(t, "c.yaml", from)
		}
	})
}

package deepspeed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxDepth is how deep objects and lists may lie in each other.
const maxDepth = 32

// maxSize is how many bytes a configuration may have.
const maxSize = 16 << 20

// entry is a key of an object with its value: nil, bool, json.Number, string, []any or []entry.
type entry struct {
	key   string
	value any
}

// load returns the bytes of a source, and its name for messages.
func load(source any) (data []byte, name string, err error) {
	switch s := source.(type) {
	case string:
		f, err := os.Open(s)
		if err != nil {
			return nil, s, fmt.Errorf("deepspeed: %w: want the path of a JSON file; JSON itself is given as []byte", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s is no regular file: want the path of a JSON file", s)
		}
		if err != nil {
			return nil, s, fmt.Errorf("deepspeed: %w", err)
		}
		data, err = io.ReadAll(io.LimitReader(f, maxSize+1))
		if err != nil {
			return nil, s, fmt.Errorf("deepspeed: %w", err)
		}
		return data, s, nil
	case []byte:
		return s, "configuration", nil
	case map[string]any:
		data, err = json.Marshal(s)
		if err != nil {
			return nil, "configuration", fmt.Errorf("deepspeed: the map can't be written as JSON: %w", err)
		}
		return data, "configuration", nil
	}
	return nil, "configuration", fmt.Errorf("deepspeed: the configuration is a %T: want a path (string), JSON ([]byte) or a map[string]any", source)
}

// decode reads one JSON object.
func decode(data []byte) ([]entry, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("more than %d bytes", maxSize)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, "", 0)
	if err != nil {
		var syntax *json.SyntaxError
		switch {
		case errors.As(err, &syntax):
			err = fmt.Errorf("line %d: %w: want JSON, without comments", line(data, syntax.Offset), err)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the JSON ends too early")
		}
		return nil, err
	}
	object, ok := v.([]entry)
	if !ok {
		return nil, fmt.Errorf("a JSON %s: want an object, {...}", kindOf(v))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: text after the end of the object", line(data, d.InputOffset()))
	}
	return object, nil
}

func line(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

func decodeValue(d *json.Decoder, path string, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("objects and lists lie more than %d deep in each other", maxDepth)
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, path, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	object, seen := []entry{}, map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if seen[key] {
			return nil, fmt.Errorf("%s is given twice: keep one", join(path, key))
		}
		seen[key] = true
		v, err := decodeValue(d, join(path, key), depth+1)
		if err != nil {
			return nil, err
		}
		object = append(object, entry{key, v})
	}
	_, err = d.Token()
	return object, err
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kindOf is a value's kind in a message.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number:
		return "number"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "object"
}

// show is a value in a message, short.
func show(v any) string {
	var text string
	switch v := v.(type) {
	case []entry:
		return "an object"
	case string:
		text = fmt.Sprintf("%q", v)
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	default:
		text = fmt.Sprint(v)
	}
	if len(text) > 60 {
		text = text[:60] + "..."
	}
	return text
}

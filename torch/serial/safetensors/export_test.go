package safetensors

// ParseIndex parses an index, and returns the tensors, the files, and each tensor's file.
func ParseIndex(raw []byte) (names, files []string, of map[string]int, err error) {
	x, err := parseIndex(raw)
	if err != nil {
		return nil, nil, nil, err
	}
	return x.names, x.files, x.of, nil
}

package train

import (
	"bytes"
	"encoding/gob"
	"fmt"
)

// EncodeState writes the state of a [Process], a plain value, to bytes.
func EncodeState(state any) ([]byte, error) {
	var out bytes.Buffer
	if err := gob.NewEncoder(&out).Encode(state); err != nil {
		return nil, fmt.Errorf("train: cannot write the checkpoint: %w", err)
	}
	return out.Bytes(), nil
}

// DecodeState reads what [EncodeState] wrote into state, a pointer. The error says that the bytes are
// not such a state.
func DecodeState(data []byte, state any) error {
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(state); err != nil {
		return fmt.Errorf("train: cannot read the checkpoint: %w", err)
	}
	return nil
}

// Command aliasdoc writes the comments of package lite's aliases anew, from those of the types that they stand for. Run it
// after a change of such a type's comment, fields or methods:
//
//	go run ./scripts/aliasdoc
package main

import (
	"fmt"
	"os"

	"github.com/golite/golite/internal/aliasdoc"
)

func main() {
	files, err := aliasdoc.Files(".", "lite")
	for name, text := range files {
		if err == nil {
			fmt.Println(name)
			err = os.WriteFile(name, text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "aliasdoc:", err)
		os.Exit(1)
	}
}

package images_test

import (
	"context"
	"fmt"

	"github.com/ctnas/ctnas/datasets/images"
)

// Batches of the images that need no file.
func Example() {
	set := images.Shapes()
	fmt.Println(set.Source)
	fmt.Println(set.Classes)

	loader := images.Loader{
		Images: set.Train, BatchSize: 128, Size: 32, Normalization: set.Normalization,
		Augment: images.PadCropFlip(4), Shuffle: true, Seed: 1,
	}
	fmt.Println(loader.Len(), "batches in an epoch")
	for batch, err := range loader.Batches(context.Background(), 0, 0) {
		if err != nil {
			panic(err)
		}
		fmt.Println("the first has", len(batch.Labels), "images and", len(batch.Pixels), "numbers")
		break
	}
	// Output:
	// shapes drawn by this library, 10,000 training and 2,000 test images in 10 classes
	// [bars crescent cross disc ell frame hourglass ring square triangle]
	// 78 batches in an epoch
	// the first has 128 images and 393216 numbers
}

package mobilenetv3_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/ctnas/ctnas/ctnaslib/space/mobilenetv3"
)

// The networks of the paper's ImageNet experiments: of at most 600M multiply-adds.
func Example() {
	s, err := mobilenetv3.New(mobilenetv3.OFA(), 600e6)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Name())

	net := s.Sample(rand.New(rand.NewPCG(1, 1))).(mobilenetv3.Net)
	fmt.Println(net, s.MAdds(net))
	fmt.Println(net.Blocks(0), len(net.Vector()))

	_, err = s.Parse("7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6")
	fmt.Println(err)
	// Output:
	// mobilenetv3 ×1.2 at 224, at most 600M
	// 3x6,7x3,7x6,3x4|5x6,5x4|7x3,3x4|3x4,7x3|7x6,3x4,3x6 412206800
	// [{3 6} {7 3} {7 6} {3 4}] 120
	// mobilenetv3: 7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6|7x6,7x6,7x6,7x6 has 843101040 multiply-adds, but this space ends at 600000000
}

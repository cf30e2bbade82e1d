package darts_test

import (
	"fmt"

	"github.com/ctnas/ctnas/ctnaslib/space/darts"
)

// A genotype is read from a line of a log, as the DARTS code writes it.
func Example() {
	genotype, err := darts.Parse("07/08 05:56:53 AM genotype = Genotype(" +
		"normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=range(2, 6), " +
		"reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=range(2, 6))")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(genotype == darts.DARTSV2)
	fmt.Println(genotype.CIFARCost().Params, "parameters on CIFAR-10,", genotype.ImageNetCost().MAdds, "multiply-adds on ImageNet")
	fmt.Println(genotype.Normal()[3])
	// Output:
	// true
	// 3349342 parameters on CIFAR-10, 529911552 multiply-adds on ImageNet
	// [{skip_connect 0} {dil_conv_3x3 2}]
}

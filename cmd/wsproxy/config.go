package main
import "github.com/spf13/cobra"
func configCmd() *cobra.Command { return &cobra.Command{Use:"config"} }
func runConfig(cmd *cobra.Command, f rootFlags, args []string) error { return nil }

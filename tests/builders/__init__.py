"""What tests are made from: tiny models, data, sites of plug-ins, disks, records."""

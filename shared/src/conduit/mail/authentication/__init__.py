"""Who a mail is from: SPF, DKIM, DMARC and ARC. Pure but for DNS, which comes in as a Protocol."""
